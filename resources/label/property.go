package label

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// creator is the program that writes labels.
const creator = "zai-image-mcp"

// uriPrefix starts the identifier of an image.
const uriPrefix = "zai-image://images/"

// Names of who made an image.
const (
	system        = "Z.AI"
	systemSandbox = "Z.AI sandbox"
)

// Prefixes of the namespaces that a label uses.
const (
	prefixDC       = "dc"
	prefixXMP      = "xmp"
	prefixPhoto    = "photoshop"
	prefixIPTCCore = "Iptc4xmpCore"
	prefixIPTCExt  = "Iptc4xmpExt"
	prefixTC260    = "TC260"
	prefixOwn      = "zaiimage"
)

func namespace(prefix string) string {
	switch prefix {
	case prefixDC:
		return "http://purl.org/dc/elements/1.1/"
	case prefixXMP:
		return "http://ns.adobe.com/xap/1.0/"
	case prefixPhoto:
		return "http://ns.adobe.com/photoshop/1.0/"
	case prefixIPTCCore:
		return "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
	case prefixIPTCExt:
		return "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
	case prefixTC260:
		return "http://www.tc260.org.cn/ns/AIGC/1.0/"
	default:
		return "zai-image://label/1.0/"
	}
}

// property is a property of an XMP packet.
type property struct{ prefix, local, text string }

func (p property) name() xml.Name { return xml.Name{Space: namespace(p.prefix), Local: p.local} }

// Local names of properties that have special rules.
const (
	localPrompt  = "AIPromptInformation"
	localAltText = "AltTextAccessibility"
)

func aigcProperty(json string) property { return property{prefixTC260, AIGC, json} }

// properties returns the properties of a label that are not empty.
func (l Label) properties() []property {
	sourceType, by, line := "trainedAlgorithmicMedia", system, "Made with AI ("+system+")"
	if l.Sandbox {
		sourceType, by, line = "algorithmicMedia", systemSandbox, "Made by the "+systemSandbox
	}
	date := ""
	if !l.CreatedAt.IsZero() {
		date = l.CreatedAt.UTC().Format("2006-01-02T15:04:05.999Z07:00")
	}
	properties := []property{
		{prefixIPTCExt, "DigitalSourceType", "http://cv.iptc.org/newscodes/digitalsourcetype/" + sourceType},
		{prefixIPTCExt, "AISystemUsed", by},
		{prefixIPTCExt, "AISystemVersionUsed", l.Model},
		{prefixIPTCCore, localAltText, l.AltText},
		{prefixPhoto, "Credit", line},
		{prefixDC, "identifier", uriPrefix + l.ID},
		{prefixXMP, "CreatorTool", creator},
		{prefixXMP, "CreateDate", date},
	}
	if l.Recipe {
		properties = append(properties,
			property{prefixIPTCExt, localPrompt, l.Prompt},
			property{prefixOwn, "Size", l.Size},
			property{prefixOwn, "Quality", l.Quality})
	}
	if l.Producer != "" {
		properties = append(properties, aigcProperty(aigcJSON(l)))
	}
	return notEmpty(properties)
}

func notEmpty(properties []property) []property {
	var some []property
	for _, p := range properties {
		if p.text = clean(p.text); p.text != "" {
			some = append(some, p)
		}
	}
	return some
}

// describe returns properties as an RDF description. It clips the prompt, then the alternative
// text, so that the description has at most limit bytes, and reports whether it does.
func describe(about string, properties []property, limit int) (string, bool) {
	properties = append([]property{}, properties...)
	d := description(about, properties)
	for _, local := range []string{localPrompt, localAltText} {
		if len(d) <= limit {
			break
		}
		for i, p := range properties {
			if p.local == local {
				properties[i].text = clip(p.text, len(escape(p.text))-(len(d)-limit))
			}
		}
		d = description(about, notEmpty(properties))
	}
	return d, len(d) <= limit
}

func description(about string, properties []property) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<rdf:Description rdf:about="%s" xmlns:rdf="%s"`, strings.ReplaceAll(escape(about), `"`, "&quot;"), namespaceRDF)
	used := map[string]bool{}
	for _, p := range properties {
		if !used[p.prefix] {
			used[p.prefix] = true
			fmt.Fprintf(&b, ` xmlns:%s="%s"`, p.prefix, namespace(p.prefix))
		}
	}
	b.WriteString(">\n")
	for _, p := range properties {
		text := escape(p.text)
		if p.local == localAltText {
			text = `<rdf:Alt><rdf:li xml:lang="x-default">` + text + `</rdf:li></rdf:Alt>`
		}
		fmt.Fprintf(&b, "<%s:%s>%s</%[1]s:%[2]s>\n", p.prefix, p.local, text)
	}
	b.WriteString("</rdf:Description>")
	return b.String()
}

// clean leaves out invalid UTF-8 and the characters that XML 1.0 forbids.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
		case r < ' ' || r == 0xfffe || r == 0xffff:
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// escape returns clean text as the content of an XML element.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if e := entity(r); e != "" {
			b.WriteString(e)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// entity returns the escape of a character, or "" if it needs none.
func entity(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '\r': // parsers replace it by a line feed
		return "&#xD;"
	default:
		return ""
	}
}

// clip shortens clean text so that it ends in "…" and has at most limit bytes when escaped.
// It returns "" if nothing fits.
func clip(text string, limit int) string {
	const ellipsis = "…"
	size := len(ellipsis)
	for i, r := range text {
		if size += max(len(entity(r)), utf8.RuneLen(r)); size > limit {
			if i == 0 {
				return ""
			}
			return text[:i] + ellipsis
		}
	}
	return text
}

// aigcLabel is the AIGC label of GB 45438-2025. All fields must be there.
type aigcLabel struct {
	Label             string // "1": made by AI
	ContentProducer   string
	ProduceID         string
	ReservedCode1     string
	ContentPropagator string
	PropagateID       string
	ReservedCode2     string
}

// aigcJSON returns the AIGC label: made by AI, by whom, with which id.
func aigcJSON(l Label) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(aigcLabel{Label: "1", ContentProducer: clean(l.Producer), ProduceID: clean(l.ID)}) //nolint:errchkjson // strings can always be encoded
	return strings.TrimSpace(b.String())
}

// ascii returns JSON with escapes for all characters beyond ASCII.
func ascii(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		if unit < utf8.RuneSelf {
			b.WriteByte(byte(unit))
		} else {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
