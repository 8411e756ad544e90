package cli

const Version = version

var (
	MirroredBy = mirroredBy
	Collector  = readCollector
	ExpandHome = expandHome
	ReadFile   = readFile
)

// How memory of the start is released.
const (
	SettleTime   = settleTime
	StartPercent = startPercent
)

// ReleaseStart is releaseStart.
func ReleaseStart() func() { return releaseStart() }

// UnmapProgram is unmapProgram.
func UnmapProgram() { unmapProgram() }
