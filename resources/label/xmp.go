package label

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

const namespaceRDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

// newPacket returns a packet with one description (ISO 16684-1).
func newPacket(description string) []byte {
	return []byte("<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="` + namespaceRDF + `">` +
		description +
		"</rdf:RDF></x:xmpmeta>\n<?xpacket end=\"w\"?>")
}

// merge adds the properties that a packet lacks. It returns the packet with them. If they do
// not fit into the limit of its size, or the packet is nil or not valid, it returns the packet
// as it is, and the properties in a packet of their own. Texts are clipped to fit.
func merge(packet []byte, properties []property, limit int) (merged, own []byte, err error) {
	if len(properties) == 0 {
		return packet, nil, nil
	}
	if p, err := parsePacket(packet); err == nil {
		missing := p.missing(properties)
		if len(missing) == 0 {
			return packet, nil, nil
		}
		if d, ok := describe(p.about, missing, limit-len(packet)); ok {
			return p.insert(d), nil, nil
		}
	}
	d, ok := describe("", properties, limit-len(newPacket("")))
	if !ok {
		return nil, nil, errTooLong
	}
	return packet, newPacket(d), nil
}

// packet is a packet whose XML is valid.
type packet struct {
	raw        []byte
	end        int    // offset of the end tag of rdf:RDF
	about      string // the resource that its descriptions describe, usually ""
	properties map[xml.Name]string
}

// missing returns the properties that the packet does not have.
func (p packet) missing(properties []property) []property {
	var missing []property
	for _, q := range properties {
		if _, ok := p.properties[q.name()]; !ok {
			missing = append(missing, q)
		}
	}
	return missing
}

// insert adds a description after the others.
func (p packet) insert(description string) []byte {
	return bytes.Join([][]byte{p.raw[:p.end], []byte(description), p.raw[p.end:]}, nil)
}

var errPacket = errors.New("the XMP packet is not valid")

func parsePacket(raw []byte) (packet, error) {
	r := packetReader{packet: packet{raw: raw, properties: map[xml.Name]string{}}}
	d := xml.NewDecoder(bytes.NewReader(raw))
	for {
		at := int(d.InputOffset())
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return packet{}, err
		}
		valid := true
		switch t := token.(type) {
		case xml.StartElement:
			valid = r.start(t)
		case xml.EndElement:
			valid = r.close(at)
		case xml.CharData:
			const blanks = " \t\r\n\ufeff"
			r.text.Write(t)
			valid = len(r.path) > 0 || strings.Trim(string(t), blanks) == ""
		case xml.Directive: // a document type, which XMP forbids
			valid = false
		}
		if !valid {
			return packet{}, errPacket
		}
	}
	if r.end == 0 {
		return packet{}, errPacket
	}
	return r.packet, nil
}

// packetReader collects a packet from the tokens of its XML.
type packetReader struct {
	packet
	rooted bool            // there is a root element
	path   []xml.Name      // open elements
	rdf    int             // length of path within rdf:RDF, 0 before it
	text   strings.Builder // text since the start of the property
}

// start reports whether an element is valid.
func (r *packetReader) start(e xml.StartElement) bool {
	const maxDepth = 100
	if len(r.path) == maxDepth || len(r.path) == 0 && r.rooted || !declared(e) {
		return false
	}
	r.rooted = true
	r.path = append(r.path, e.Name)
	switch {
	case r.rdf == 0 && e.Name == xml.Name{Space: namespaceRDF, Local: "RDF"}:
		r.rdf = len(r.path)
	case r.rdf > 0 && r.end == 0 && len(r.path) == r.rdf+1:
		r.describe(e.Attr)
	case len(r.path) == r.rdf+2:
		r.text.Reset()
	}
	return true
}

// declared reports whether the namespaces of an element are. The decoder leaves the prefix
// in place of those that are not, and namespaces of XMP end in a slash or a number sign.
func declared(e xml.StartElement) bool {
	names := []xml.Name{e.Name}
	for _, a := range e.Attr {
		names = append(names, a.Name)
	}
	for _, n := range names {
		if n.Space != "" && n.Space != "xmlns" && !strings.ContainsAny(n.Space, ":/#") {
			return false
		}
	}
	return true
}

// describe adds the properties that are attributes of a description.
func (r *packetReader) describe(attributes []xml.Attr) {
	for _, a := range attributes {
		switch {
		case a.Name.Local == "about" && (a.Name.Space == namespaceRDF || a.Name.Space == ""):
			if r.about == "" {
				r.about = a.Value
			}
		case strings.ContainsAny(a.Name.Space, ":/#") && a.Name.Space != namespaceRDF:
			r.add(a.Name, a.Value)
		}
	}
}

func (r *packetReader) add(name xml.Name, text string) {
	if _, ok := r.properties[name]; !ok {
		r.properties[name] = text
	}
}

// close ends the innermost element. at is the offset of its end tag. It reports whether the
// element is valid.
func (r *packetReader) close(at int) bool {
	depth := len(r.path)
	name := r.path[depth-1]
	r.path = r.path[:depth-1]
	switch {
	case r.rdf == 0 || r.end > 0:
	case depth == r.rdf+2:
		r.add(name, r.text.String())
	case depth == r.rdf:
		r.end = at
		return bytes.HasPrefix(r.raw[at:], []byte("</"))
	}
	return true
}
