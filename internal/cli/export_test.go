package cli

const Version = version

var (
	MirroredBy = mirroredBy
	Collector  = readCollector
	ExpandHome = expandHome
	ReadFile   = readFile
)

// UnmapProgram is unmapProgram.
func UnmapProgram() { unmapProgram() }
