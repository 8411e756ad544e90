package cli

import "fmt"

type versionCommand struct{}

// Run prints the version on a line of its own.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintln(p.Stdout, version)
	return err
}
