package cli

import (
	"cmp"
	"strings"

	"zai-image-mcp/internal/hostconfig"
)

// projectLine says which project the server of a host writes into.
type projectLine struct {
	text  string
	wrong bool // the entry sets a project that cannot be used, or that may keep the server from starting
}

// projects returns a line for each host that starts a server over stdio. The project is
// unknown if the entry starts another program, for example docker.
func (p *program) projects(hosts []configuredHost) (list []projectLine) {
	for _, h := range hosts {
		if h.state.Command == "" || h.state.Off || h.overHTTP() {
			continue
		}
		line := projectLine{text: "unknown; the entry starts " + h.state.Command}
		if h.state.Starts(p.Executable) {
			line = h.project(p.Home)
		}
		line.text = h.host.Name + ": " + line.text
		list = append(list, line)
	}
	return list
}

// overHTTP reports whether an entry starts a server over HTTP, which has no project.
func (h configuredHost) overHTTP() bool {
	transport := literalValue(h.state.Setting("--transport", "ZAI_IMAGE_TRANSPORT"))
	return transport != "" && transport != "stdio"
}

// project returns the project that a host's entry leads to. home is the user's home folder.
func (h configuredHost) project(home string) projectLine {
	flag, claude := h.state.Setting(projectFlag, projectVariable), h.state.Env[claudeProjectVariable]
	given := cmp.Or(flag, claude)
	switch {
	case given == "":
		return projectLine{text: defaultProject(h.host)}
	case strings.Contains(given, hostconfig.Workspace) && h.host.ProjectFile != "":
		return projectLine{given + ", because of which the host may refuse to start the server when no folder is open; " +
			"remove it, and " + useProjectFile(h.host), true}
	case strings.Contains(given, hostconfig.Workspace) && !h.host.ReplacesWorkspace:
		return projectLine{given + ", which this host does not replace; " + setProject, true}
	case given == hostconfig.Workspace:
		return projectLine{text: "the folder that is open"}
	case literalValue(given) == "":
		return projectLine{text: given + ", which the host replaces"}
	}
	place := projectPlace{flag: filePath(expandHome(flag, home)), claude: claude, home: home}
	dir, none := place.find()
	switch {
	case none == nil:
		return projectLine{text: dir}
	case none.wrong:
		return projectLine{none.reason, true}
	}
	return projectLine{text: "none; " + none.reason}
}

// useProjectFile tells users where to put an entry that sets the project.
func useProjectFile(host hostconfig.Host) string {
	return "put the entry into the project's " + host.ProjectFile
}

// defaultProject returns the project of a host whose entry sets none.
func defaultProject(host hostconfig.Host) string {
	switch {
	case host.ProjectFile != "":
		return "none; " + useProjectFile(host)
	case host.ReplacesWorkspace:
		return "the folder it starts the server in; zai-image-mcp config " + host.Name + " --write sets the folder that is open"
	}
	switch host.Name {
	case "claude-code":
		return claudeProjectVariable + ", which the host sets"
	case "claude-desktop", "zcode":
		return "none; to set one, add \"" + projectFlag + "\" and its folder to the args of the entry"
	}
	return "the folder it starts the server in"
}
