package cli

const Version = version

var (
	MirroredBy = mirroredBy
	ExpandHome = expandHome
	ReadFile   = readFile
)
