package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/render"
)

// projectError reports that files cannot be written into the project.
type projectError struct {
	dir string
	err error
}

func (e *projectError) Error() string { return "project: " + resources.WithoutPath(e.err).Error() }

func (e *projectError) Unwrap() error { return e.err }

// Failure describes the error for the caller; see jobs.Describe.
func (e *projectError) Failure() *resources.Failure {
	reason := (&resources.StorageError{Err: e.err}).Reason()
	hint := "Use another name, or ask the user to check the folder."
	switch {
	case errors.Is(e.err, fs.ErrNotExist):
		hint = "Ask the user to create the folder, or to set --project (ZAI_IMAGE_PROJECT) to the folder of the project."
	case errors.Is(e.err, fs.ErrPermission), errors.Is(e.err, syscall.EROFS):
		hint = "Ask the user to make the folder writable for this server, or use a name in another folder."
	case errors.Is(e.err, syscall.ENOSPC), errors.Is(e.err, syscall.EDQUOT):
		hint = "Ask the user to free space on the disk of the project."
	}
	return resources.NewFailure(resources.KindStorage, fmt.Sprintf("The file cannot be written into the project %s: %s.", e.dir, reason), hint)
}

// fileError returns the error for a file of the project that cannot be written. Errors that
// describe themselves, and those of the library, are returned unchanged.
func fileError(p *project.Folder, err error) error {
	if name, ok := errors.AsType[*project.NameError](err); ok {
		return &argumentError{name.Problem, name.Hint}
	}
	if errors.Is(err, resources.ErrStorage) {
		return err
	}
	return &projectError{p.Dir(), err}
}

// specError returns the error of a call whose file cannot be made as the arguments say.
func specError(err error) error {
	if spec, ok := errors.AsType[*render.SpecError](err); ok {
		return &argumentError{spec.Problem, spec.Hint}
	}
	return err
}

// describeFileError describes why a file was not written.
func describeFileError(err error) *resources.Failure {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return resources.NewFailure(resources.KindStorage, "It took too long to make the file.", "Wait a moment.")
	case errors.Is(err, context.Canceled):
		return resources.NewFailure(resources.KindCancelled, "The call was cancelled before the file was made.", "")
	}
	return jobs.Describe(specError(err))
}
