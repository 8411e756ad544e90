package tools

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"zai-image-mcp/internal/project"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/render"
)

// saveWait is the longest time that the result of a call that generated or found images
// waits for the files of save_as.
const saveWait = 8 * time.Second

// recordWait is the longest time that a call waits for the record of a file in the catalog.
const recordWait = 5 * time.Second

// defaultNoProject is the default of Config.NoProject.
const defaultNoProject = "the server cannot write into the user's project; use the download link"

// saveExtensions returns the extensions of files that are whole images.
func saveExtensions() []string { return []string{".png", ".jpg", ".jpeg", ".webp"} }

// fileNames checks the argument save_as and returns the names of the files of n images, nil
// if it is "". It fails if a file could not be written now.
func (t *tools) fileNames(saveAs string, n int) ([]string, error) {
	saveAs = strings.TrimSpace(saveAs)
	if saveAs == "" {
		return nil, nil
	}
	if t.Project == nil {
		return nil, t.noProject()
	}
	name, err := project.Clean(saveAs, saveExtensions()...)
	if err != nil {
		return nil, fileError(t.Project, err)
	}
	names := []string{name}
	if n > 1 {
		names = numbered(name, n)
	}
	return names, t.checkFiles(names, saveExtensions())
}

// numbered returns the names of n files: hero-1.png, hero-2.png for hero.png.
func numbered(name string, n int) []string {
	extension := path.Ext(name)
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, extension), i+1, extension))
	}
	return names
}

// checkFiles cleans the names in place. It fails if one of the files could not be written
// now.
func (t *tools) checkFiles(names, extensions []string) error {
	for n := range names {
		name, err := project.Clean(names[n], extensions...)
		if err == nil {
			err = t.Project.Check(name)
		}
		if err != nil {
			return fileError(t.Project, err)
		}
		names[n] = name
	}
	return nil
}

// noProject returns the error for save_as without a project.
func (t *tools) noProject() error {
	return &argumentError{
		"save_as cannot be used, because there is no project: " + t.NoProject + ".",
		"Without save_as the call works, and the image is kept in the library.",
	}
}

// projectFile is a file that a call was asked to write into the project.
type projectFile struct {
	wanted  string // name that the call asked for
	export  resources.Export
	written project.Written // zero if err is not nil
	kept    string          // why the file that has the wanted name was not replaced, as a clause; "" if that was not asked for
	err     error           // why the file was not written
}

// saveFiles writes the images that are saved into the project, under the names at the same
// positions. The list has nil for an image without a file; it is empty without names.
func (t *tools) saveFiles(ctx context.Context, images []resources.Image, names []string) []*projectFile {
	ctx, cancel := context.WithTimeout(ctx, saveWait)
	defer cancel()
	var files []*projectFile
	for n, name := range names {
		if images[n].State != resources.Saved {
			files = append(files, nil)
			continue
		}
		file := &projectFile{wanted: name}
		format, _ := render.FormatOf(path.Ext(name)) // the name was checked
		file.export, file.err = t.Library.Export(ctx, images[n], render.Spec{Format: format})
		if file.err == nil {
			t.writeFile(ctx, images[n], file, false)
		} else {
			t.Log.WarnContext(ctx, "failed to make a file", "id", images[n].ID, "error", file.err)
		}
		files = append(files, file)
	}
	return files
}

// writeFile writes the export of a file into the project and records it.
func (t *tools) writeFile(ctx context.Context, i resources.Image, file *projectFile, replace bool) {
	var mayReplace func(path, sha256 string) (bool, error)
	if replace {
		mayReplace = t.mayReplace(ctx, &file.kept)
	}
	file.written, file.err = t.Project.Write(file.wanted, file.export.Data, mayReplace)
	if file.err != nil {
		file.err = fileError(t.Project, file.err)
		t.Log.WarnContext(ctx, "failed to write a file into the project", "id", i.ID, "error", file.err)
		return
	}
	// The file is written, so it is recorded even if the call has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWait)
	defer cancel()
	err := t.Library.Catalog().RecordExport(ctx, resources.Exported{
		Path: file.written.Path, ImageID: i.ID, Spec: file.export.Spec.String(), SHA256: file.export.SHA256,
		Bytes: int64(len(file.export.Data)), CreatedAt: t.Now(),
	})
	if err != nil { // only replace will refuse the file
		t.Log.WarnContext(ctx, "failed to record an export", "id", i.ID, "error", err)
	}
}

// mayReplace returns a function that tells whether a file may be replaced: this program
// wrote it and it is unchanged. It writes the reason if not.
func (t *tools) mayReplace(ctx context.Context, reason *string) func(path, sha256 string) (bool, error) {
	return func(path, sha256 string) (bool, error) {
		record, err := t.Library.Catalog().ExportAt(ctx, path)
		switch {
		case errors.Is(err, resources.ErrNotFound):
			*reason = "this server did not write it"
			return false, nil
		case err != nil:
			return false, err
		case record.SHA256 != sha256:
			*reason = "it was changed after this server wrote it"
			return false, nil
		}
		*reason = ""
		return true, nil
	}
}

// place says where the file is if that is not the name that the call asked for, as the rest
// of a sentence.
func (f *projectFile) place() string {
	switch {
	case f.written.Name == f.wanted:
		return ""
	case f.kept != "":
		return fmt.Sprintf(", because %s was not replaced: %s", f.wanted, f.kept)
	default:
		return fmt.Sprintf(", because %s exists already", f.wanted)
	}
}

// describeFile describes a file in a few words: 1344x768, WebP, 61 KB.
func describeFile(e resources.Export) string {
	names := map[render.Format]string{render.PNG: "PNG", render.JPEG: "JPEG", render.WebP: "WebP", render.ICO: "ICO"}
	return fmt.Sprintf("%dx%d, %s, %s", e.Width, e.Height, names[e.Spec.Format], formatBytes(int64(len(e.Data))))
}

// fileNotes returns what a result says about the files of its images.
func fileNotes(images []resources.Image, files []*projectFile, paths bool) (notes []string) {
	for n, file := range files {
		switch {
		case file == nil:
		case file.err != nil:
			f := describeFileError(file.err)
			notes = append(notes, fmt.Sprintf("Image %s is in the library, but was not saved as %s: %s", images[n].ID, file.wanted,
				strings.TrimSpace(f.Message+" "+f.Hint))+" Then call get_image with this id and save_as, which is free of charge.")
		default:
			note := fmt.Sprintf("Image %s: saved as %s (%s)%s.", images[n].ID, file.written.Name, describeFile(file.export), file.place())
			if paths {
				note += " It is the file " + file.written.Path
			}
			notes = append(notes, note)
			if file.export.Signed {
				notes = append(notes, file.written.Name+" "+signedNote)
			}
			notes = append(notes, pasteLines(file.written.Name, resources.AltText(images[n].Prompt), file.export.Width, file.export.Height)...)
		}
	}
	return notes
}

// signedNote is the rest of a sentence about a file that is the unchanged original.
const signedNote = "is the unchanged original without a label, because it has Content Credentials, which any change would break."

// showsPaths reports whether callers can open files of the project by their paths here.
func (t *tools) showsPaths() bool { return t.Locator.Path && t.Locator.Folder == "" }
