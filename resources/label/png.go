package label

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zlib"
)

const signaturePNG = "\x89PNG\r\n\x1a\n"

// Keywords of text chunks.
const (
	keywordXMP        = "XML:com.adobe.xmp"
	keywordAIGC       = "AIGC"
	keywordParameters = "parameters"
)

// maxExif limits the Exif data that is searched, as it is limited in JPEG files.
const maxExif = 1 << 16

// scanPNG reads the chunks up to IEND (www.w3.org/TR/png-3).
func scanPNG(s *source) (found, error) {
	var f found
	head, err := s.next(8)
	if err != nil {
		return f, err
	}
	if string(head) != signaturePNG {
		return f, fmt.Errorf("%w: it is not a PNG file", ErrMalformed)
	}
	for first := true; ; first = false {
		head, err := s.next(8)
		if err != nil {
			return f, err
		}
		size, name := binary.BigEndian.Uint32(head), string(head[4:])
		if size > math.MaxInt32 || (name == "IHDR") != first {
			return f, fmt.Errorf("%w: the chunk at byte %d is invalid", ErrMalformed, s.at-8)
		}
		if err := f.scanChunk(s, name, int(size)); err != nil {
			return f, err
		}
		switch name {
		case "IHDR":
			f.insert = s.at
		case "IEND":
			return f, nil
		}
	}
}

// scanChunk reads what follows the length and the name of a chunk.
func (f *found) scanChunk(s *source, name string, size int) error {
	start := s.at - 8
	isText := name == "tEXt" || name == "zTXt" || name == "iTXt"
	keyword := ""
	if isText {
		head, err := s.peek(min(size, len(keywordXMP)+1))
		if err != nil {
			return err
		}
		head, _, _ = bytes.Cut(head, []byte{0})
		keyword = string(head)
	}
	switch {
	case name == "caBX":
		f.C2PA = true
	case keyword == keywordParameters:
		f.parameters = true
	case name == "iTXt" && keyword == keywordXMP && f.XMP == nil:
		text, err := readText(s, name, size)
		if err != nil {
			return err
		}
		f.setXMP(text)
		f.packet = span{start, s.at}
		return nil
	case keyword == keywordAIGC && f.AIGC == "":
		text, err := readText(s, name, size)
		if err != nil {
			return err
		}
		f.setAIGC(toUTF8(text))
		return nil
	case name == "eXIf" && size <= maxExif:
		data, err := readChunk(s, name, size)
		if err != nil {
			return err
		}
		f.setAIGCFromExif(data)
		return nil
	}
	return s.skip(size + 4)
}

// readChunk returns the data of a chunk. It fails if the checksum is wrong.
func readChunk(s *source, name string, size int) ([]byte, error) {
	data, err := s.keep(size)
	if err != nil {
		return nil, err
	}
	sum, err := s.next(4)
	if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(sum) != checksum(name, data) {
		return nil, fmt.Errorf("%w: the checksum of chunk %q is wrong", ErrMalformed, name)
	}
	return data, nil
}

// readText returns the text of a tEXt, zTXt or iTXt chunk, inflated.
func readText(s *source, name string, size int) ([]byte, error) {
	data, err := readChunk(s, name, size)
	if err != nil {
		return nil, err
	}
	errText := fmt.Errorf("%w: a text chunk is invalid", ErrMalformed)
	_, rest, _ := bytes.Cut(data, []byte{0})
	compressed := name == "zTXt"
	switch {
	case name == "tEXt":
		return rest, nil
	case compressed && len(rest) > 0: // method
		rest = rest[1:]
	case name == "iTXt" && len(rest) > 2: // compression flag, method, language, translated keyword
		compressed = rest[0] == 1
		parts := bytes.SplitN(rest[2:], []byte{0}, 3)
		if len(parts) != 3 {
			return nil, errText
		}
		rest = parts[2]
	default:
		return nil, errText
	}
	if !compressed {
		return rest, nil
	}
	inflated, err := zlib.NewReader(bytes.NewReader(rest))
	if err != nil {
		return nil, errText
	}
	text, err := io.ReadAll(io.LimitReader(inflated, int64(s.left)+1))
	if err != nil {
		return nil, errText
	}
	return text, s.spend(len(text))
}

// toUTF8 returns text that is UTF-8 or Latin-1 as UTF-8.
func toUTF8(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	runes := make([]rune, len(text))
	for i, b := range text {
		runes[i] = rune(b)
	}
	return string(runes)
}

func checksum(name string, data []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(name)), crc32.IEEETable, data)
}

func chunk(name string, data []byte) []byte {
	b := make([]byte, 0, 12+len(data))
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, name...)
	b = append(b, data...)
	return binary.BigEndian.AppendUint32(b, checksum(name, data))
}

// textChunk returns an iTXt chunk without compression, language and translated keyword.
func textChunk(keyword, text string) []byte {
	return chunk("iTXt", []byte(keyword+"\x00\x00\x00\x00\x00"+text))
}

func framePNG(packet []byte) []byte { return textChunk(keywordXMP, string(packet)) }

func aigcChunk(json string) []byte { return chunk("tEXt", []byte(keywordAIGC+"\x00"+ascii(json))) }

// textChunks returns the chunks of a label beside its packet. hasParameters means that the
// file has a text with parameters, which stays.
func textChunks(l Label, hasParameters bool) []byte {
	var b []byte
	if l.Recipe && !hasParameters {
		b = append(b, textChunk(keywordParameters, parameters(l))...)
	}
	if l.Producer != "" {
		b = append(b, aigcChunk(aigcJSON(l))...)
	}
	return b
}

// parameters returns the prompt and, in a second line, settings, as user interfaces of
// Stable Diffusion write and read them.
func parameters(l Label) string {
	var settings []string
	for _, s := range [][2]string{{"Size", l.Size}, {"Model", l.Model}, {"Quality", l.Quality}, {"Software", creator}} {
		if s[1] != "" {
			settings = append(settings, s[0]+": "+s[1])
		}
	}
	prompt := strings.ReplaceAll(l.Prompt, "\r\n", "\n")
	return withoutControls(prompt, "\n") + "\n" + withoutControls(strings.Join(settings, ", "), "")
}

// withoutControls leaves out control characters that are not in except.
func withoutControls(text, except string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !strings.ContainsRune(except, r) {
			return -1
		}
		return r
	}, clean(text))
}
