package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram removes the pages of the program's file from the memory of the process.
// Those that are used again return from the system's cache of files. The kernel maps
// sixteen pages for each one that is used (fault-around), so most of those that the start
// left behind are never used.
func unmapProgram() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	mapping := "" // the first line about it if it is of the program's file and cannot be written
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		name, size, _ := strings.Cut(line, ":")
		switch {
		case strings.Contains(name, " "):
			mapping = ""
			if strings.Contains(name, " r-") && strings.HasSuffix(line, " "+program) {
				mapping = line
			}
		case name == "Anonymous" && strings.TrimSpace(size) == "0 kB":
			// Pages that differ from the file, such as those that a loader relocated,
			// would lose their changes.
			dropPages(mapping)
		}
	}
}

// dropPages removes the pages of a mapping from memory.
func dropPages(mapping string) {
	var start, end uintptr
	if _, err := fmt.Sscanf(mapping, "%x-%x", &start, &end); err == nil {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED) // it is only advice
	}
}
