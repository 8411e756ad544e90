package label

import (
	"encoding/json"
	"strings"
	"time"
)

// Parse returns the label that Add wrote into an XMP packet. ok is false if there is none. A
// clipped prompt or alternative text ends in "…". The texts are those of the file, which
// anybody can have written.
func Parse(xmp []byte) (l Label, ok bool) {
	p, err := parsePacket(xmp)
	if err != nil {
		return Label{}, false
	}
	get := func(prefix, local string) string {
		return p.properties[property{prefix: prefix, local: local}.name()]
	}
	id, ok := strings.CutPrefix(get(prefixDC, "identifier"), uriPrefix)
	if !ok {
		return Label{}, false
	}
	l = Label{
		ID:      id,
		Model:   get(prefixIPTCExt, "AISystemVersionUsed"),
		Sandbox: get(prefixIPTCExt, "AISystemUsed") == systemSandbox,
		AltText: get(prefixIPTCCore, localAltText),
		Prompt:  get(prefixIPTCExt, localPrompt),
		Size:    get(prefixOwn, "Size"),
		Quality: get(prefixOwn, "Quality"),
	}
	l.Recipe = l.Prompt+l.Size+l.Quality != ""
	if created, err := time.Parse(time.RFC3339Nano, get(prefixXMP, "CreateDate")); err == nil {
		l.CreatedAt = created.UTC()
	}
	var aigc aigcLabel
	if json.Unmarshal([]byte(get(prefixTC260, AIGC)), &aigc) == nil && aigc.ProduceID == id {
		l.Producer = aigc.ContentProducer
	}
	return l, true
}
