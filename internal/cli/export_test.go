package cli

const Version = version

var (
	MirroredBy = mirroredBy
	Collector  = readCollector
	ExpandHome = expandHome
	ReadFile   = readFile
)
