package render

// Set is a set of files that are used together.
type Set string

// The sets.
const (
	Favicon Set = "favicon"
	AppIcon Set = "app-icon"
	Social  Set = "social"
)

// Sets returns all sets.
func Sets() []Set { return []Set{Favicon, AppIcon, Social} }

// SetFile is one file of a set.
type SetFile struct {
	Name string // path relative to the project, with slashes
	Spec Spec
}

// Files returns the files of a set. name is a folder, or a stem with an extension: public/
// or public gives public/favicon.ico, and assets/logo.png gives assets/logo.ico.
// Files fails with a *SpecError.
func (s Set) Files(name, fit, background string) ([]SetFile, error) { return nil, errNotWritten }

// Markup returns the lines of HTML and JSON that use the files of a set, under the names
// that they were written to, which are in the order of Files. It is "" if there are none.
func (s Set) Markup(names []string) string { return "" }
