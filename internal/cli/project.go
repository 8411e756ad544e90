package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	projectFlag     = "--project"
	projectVariable = "ZAI_IMAGE_PROJECT"
	// claudeProjectVariable is set by Claude Code for the servers that it starts.
	claudeProjectVariable = "CLAUDE_PROJECT_DIR"
	// projectNone is the value of --project that switches the project off.
	projectNone = "none"
)

// setProject tells users what to do if the folder of their project was not found.
const setProject = "set " + projectFlag + " (" + projectVariable + ") to the folder of the project in the host's configuration of this server"

// projectPlace is what the folder of the project is found from.
type projectPlace struct {
	flag    filePath // value of --project, "" if it is not set
	claude  string   // value of CLAUDE_PROJECT_DIR
	working string   // the working directory, "" if unknown
	home    string   // the user's home folder, "" if unknown
}

// projectPlace returns where a server of this process looks for its project.
func (p *program) projectPlace(flag filePath) projectPlace {
	return projectPlace{flag: flag, claude: p.Env(claudeProjectVariable), working: p.Dir, home: p.Home}
}

// noProject says why there is no project and what to do, as a clause.
type noProject struct {
	reason string
	wrong  bool // a setting cannot be used; otherwise there is none, or it is none
}

// find returns the absolute path of the project's folder: that of --project, that of
// CLAUDE_PROJECT_DIR, or else the working directory, unless it is one that hosts are
// started in rather than a project. If there is no project, it says why.
func (l projectPlace) find() (dir string, none *noProject) {
	given, flag := strings.TrimSpace(string(l.flag)), projectFlag
	if given == "" {
		given, flag = expandHome(strings.TrimSpace(l.claude), l.home), claudeProjectVariable
	}
	switch {
	case given == "":
		return l.fromWorking()
	case flag == projectFlag && strings.EqualFold(given, projectNone):
		return "", &noProject{reason: "it is switched off by " + projectFlag + " " + projectNone}
	case filePath(given).hasVariable():
		return "", &noProject{fmt.Sprintf("%s %s contains a variable that the host did not replace; %s", flag, given, setProject), true}
	case !filepath.IsAbs(given) && l.working == "":
		return "", &noProject{fmt.Sprintf("%s %s is relative and the working directory is not known; %s", flag, given, setProject), true}
	case !filepath.IsAbs(given):
		given = filepath.Join(l.working, given)
	}
	if problem := folderProblem(given); problem != "" {
		return "", &noProject{fmt.Sprintf("%s %s: %s; %s", flag, given, problem, setProject), true}
	}
	return filepath.Clean(given), nil
}

// fromWorking returns the working directory if it can be that of a project.
func (l projectPlace) fromWorking() (string, *noProject) {
	switch {
	case l.working == "":
		return "", &noProject{reason: "the working directory is not known; " + setProject}
	case isSystemFolder(l.working, l.home) || isSystemFolder(withoutLinks(l.working), withoutLinks(l.home)):
		return "", &noProject{reason: fmt.Sprintf("the host started the server in %s, which is not the folder of a project; %s", l.working, setProject)}
	}
	if problem := folderProblem(l.working); problem != "" {
		return "", &noProject{reason: fmt.Sprintf("the working directory %s: %s; %s", l.working, problem, setProject)}
	}
	return l.working, nil
}

// folderProblem returns why a path is not that of a folder, "" if it is.
func folderProblem(path string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such folder"
	case err != nil:
		return "the folder cannot be opened"
	case !info.IsDir():
		return "it is not a folder"
	}
	return ""
}

// withoutLinks returns a path with its symbolic links resolved, if that is possible.
func withoutLinks(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// isSystemFolder reports whether a folder belongs to the system or to programs, or is the
// user's home folder or above it. Desktop programs start servers in such folders. Paths
// are compared by their letters only, in the form of any system and without regard to case.
func isSystemFolder(dir, home string) bool {
	at, base := pathElements(dir), pathElements(home)
	if len(at) == 0 || len(base) > 0 && len(at) <= len(base) && slices.Equal(at, base[:len(at)]) {
		return true
	}
	if len(base) > 0 && len(at) > len(base) && slices.Equal(at[:len(base)], base) {
		// The data and the programs of desktop programs, on Windows and macOS.
		return at[len(base)] == "appdata" || at[len(base)] == "library"
	}
	top := []string{"home", "users", "root", "var", "opt", "srv", "tmp", "mnt", "media", "private", "volumes"}
	system := []string{
		"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "nix", "proc", "run", "sbin", "snap", "sys", "usr",
		"applications", "library", "system", "windows", "program files", "program files (x86)", "programdata",
	}
	return len(at) == 1 && slices.Contains(top, at[0]) || slices.Contains(system, at[0])
}

// pathElements returns the names in an absolute path, in lower case, without the letter of
// a Windows drive.
func pathElements(path string) []string {
	path = strings.ToLower(path)
	if len(path) >= 2 && path[1] == ':' {
		path = strings.ReplaceAll(path[2:], `\`, "/")
	}
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// logProject logs where a server over stdio writes files, or why it does not. A setting that
// cannot be used is a warning.
func logProject(log *slog.Logger, dir string, none *noProject) {
	switch {
	case none == nil:
		log.Info("found the project, in which save_as writes files", "folder", dir)
	case none.wrong:
		log.Warn("failed to find the project: save_as is refused", "reason", none.reason)
	default:
		log.Info("found no project: save_as is refused", "reason", none.reason)
	}
}

// noProjectOverHTTP is why servers over HTTP have no project.
const noProjectOverHTTP = "the server is reached over HTTP and cannot write into your project; use the download link"

// warnOfProject logs that a project was set that the transport does not use.
func warnOfProject(flag filePath, log *slog.Logger) {
	if given := cmp.Or(string(flag), projectNone); !strings.EqualFold(given, projectNone) {
		log.Warn("ignored "+projectFlag+": over HTTP, save_as is refused", "folder", given)
	}
}
