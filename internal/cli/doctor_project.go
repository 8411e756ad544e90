package cli

import "zai-image-mcp/internal/hostconfig"

// projectLine says which project the server of a host writes into.
type projectLine struct {
	text  string
	wrong bool // the entry sets a project that cannot be used
}

// projects returns a line for each host that starts a server over stdio.
func projects(hosts []configuredHost, home string) (list []projectLine) {
	for _, h := range hosts {
		if h.state.Command == "" || h.state.Off || h.overHTTP() {
			continue
		}
		line := h.project(home)
		line.text = h.name + ": " + line.text
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
	given := flag
	if given == "" {
		given = claude
	}
	switch {
	case given == "":
		return projectLine{text: defaultProject(h.name)}
	case given == hostconfig.Workspace && hostconfig.HasWorkspace(h.name):
		return projectLine{text: "the workspace"}
	case given == hostconfig.Workspace:
		return projectLine{given + ", which this host does not replace; " + setProject, true}
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

// defaultProject returns the project of a host whose entry sets none.
func defaultProject(host string) string {
	switch host {
	case "claude-code":
		return claudeProjectVariable + ", which the host sets"
	case "claude-desktop", "zcode":
		return "none; to set one, add \"" + projectFlag + "\" and its folder to the args of the entry"
	case "vscode", "cursor":
		return "the folder it starts the server in; zai-image-mcp config " + host + " --write sets the workspace"
	}
	return "the folder it starts the server in"
}
