package tools

import (
	"fmt"
	"strings"

	"zai-image-mcp/resources"
)

// summaryText returns the text of a result. It is complete without the other
// content, for hosts that drop that. names are those of the images' files in the
// project, if there are any.
func summaryText(images []resources.Image, names []string, r result) string {
	var b strings.Builder
	cost, saved := 0.0, 0
	for _, i := range images {
		if i.Charged {
			cost += i.CostUSD()
		}
		if i.State == resources.Saved {
			saved++
		}
	}
	fmt.Fprintf(&b, "%d of %d images saved, cost $%.3f", saved, len(images), cost)
	if r.SpentTodayUSD != nil {
		fmt.Fprintf(&b, " ($%.3f spent today)", *r.SpentTodayUSD)
	}
	b.WriteString(".")
	if *r.Sandbox {
		b.WriteString(" This is the sandbox: drawn locally, nothing was really charged.")
	}
	for n, i := range images {
		fmt.Fprintf(&b, "\n%d. ", n+1)
		writeImageLine(&b, i, r.Images[n], andSaveAs(names, n))
	}
	return b.String()
}

// writeImageLine writes the lines of the text about one image. saveAs is the result
// of andSaveAs.
func writeImageLine(b *strings.Builder, i resources.Image, entry resources.Entry, saveAs string) {
	switch i.Status() {
	case resources.StatusSaved:
		fmt.Fprintf(b, "id %s, %dx%d, %s, %s, %s %s", i.ID, i.Width, i.Height, i.MIMEType, formatBytes(i.Bytes), i.Model, i.Quality)
		if entry.Path != "" {
			fmt.Fprintf(b, "\n   file: %s", entry.Path)
		}
		if entry.DownloadURL != "" {
			fmt.Fprintf(b, "\n   download: %s (until %s)", entry.DownloadURL, entry.DownloadExpiresAt)
		}
		fmt.Fprintf(b, "\n   resource: %s", resources.URI(i.ID, resources.Original))
		if size := fmt.Sprintf("%dx%d", i.Width, i.Height); size != i.Size {
			fmt.Fprintf(b, "\n   note: %s was requested", i.Size)
		}
		for _, f := range i.ContentFilter {
			fmt.Fprintf(b, "\n   note: content filter remark, role %s, level %d (0 is most severe)", f.Role, f.Level)
		}
	case resources.StatusWorking:
		fmt.Fprintf(b, "id %s is still being made, $%.3f; call get_image with this id%s in a while. It will be %s",
			i.ID, i.CostUSD(), saveAs, resources.URI(i.ID, resources.Original))
	default:
		b.WriteString("not saved")
		if i.ID != "" {
			fmt.Fprintf(b, " (id %s)", i.ID)
		}
		if f := i.Failure; f != nil {
			fmt.Fprintf(b, ": %s %s (kind: %s)", f.Message, f.Hint, f.Kind)
		}
	}
}

func formatBytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KB", (n+1023)/1024)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}
