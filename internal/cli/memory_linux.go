package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram removes the pages of the program's file from the memory of the process.
// Those that are used again return without reading the file, which the system keeps in
// its cache. For each page that the start used, the kernel mapped sixteen.
func unmapProgram() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var start, end uintptr
		var access string
		line := lines.Text()
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &access); err != nil || !strings.HasSuffix(line, " "+program) {
			continue
		}
		if strings.HasPrefix(access, "r-") { // never pages that the program can change
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED) // it is only advice
		}
	}
}
