package resources

import "slices"

// State is the stage that an image has reached. Method next lists how states follow each
// other.
type State string

// The states in their usual order.
const (
	Queued      State = "queued"       // reserved; no request was sent
	Submitted   State = "submitted"    // the request may have been sent
	Polling     State = "polling"      // accepted as a task, whose result is polled for
	PollFailed  State = "poll_failed"  // the task may have been billed; it is polled again later
	Answered    State = "answered"     // generated and billed; being downloaded
	FetchFailed State = "fetch_failed" // billed; the download failed and is tried again later
	Saved       State = "saved"        // the file and the row are durable
	Failed      State = "failed"       // there is no image and no cost
	Unknown     State = "unknown"      // may have been billed; the request is not repeated
	Lost        State = "lost"         // billed, and the image cannot be obtained
	Removed     State = "removed"      // deleted by the user; the row keeps its cost
)

// next returns the states that s can change to, apart from itself. Steps can be left
// out: a process whose writes fail for a while records only its latest step.
func (s State) next() []State {
	switch s {
	case Queued:
		return []State{Submitted, Failed, Removed}
	case Submitted:
		return []State{Queued, Polling, PollFailed, Answered, FetchFailed, Saved, Failed, Unknown, Lost, Removed}
	case Polling:
		return []State{PollFailed, Answered, FetchFailed, Saved, Failed, Lost, Removed}
	case PollFailed:
		return []State{Polling, Answered, FetchFailed, Saved, Failed, Lost, Removed}
	case Answered: // Unknown if its process died and the answer had no link
		return []State{FetchFailed, Saved, Unknown, Lost, Removed}
	case FetchFailed:
		return []State{Answered, Saved, Lost, Removed}
	case Saved: // its file is missing or damaged
		return []State{FetchFailed, Lost, Removed}
	case Failed: // a process that was suspended continues after another one gave its image up
		return []State{Polling, PollFailed, Answered, FetchFailed, Saved, Lost, Removed}
	case Unknown: // likewise
		return []State{Polling, PollFailed, Answered, FetchFailed, Saved, Failed, Lost, Removed}
	case Lost: // likewise, or its file was found
		return []State{Saved, Removed}
	case Removed:
	}
	return nil
}

// States returns all states in their usual order.
func States() []State {
	return []State{Queued, Submitted, Polling, PollFailed, Answered, FetchFailed, Saved, Failed, Unknown, Lost, Removed}
}

// StatesThat returns the states for which is reports true, for the lists in the
// statements of a catalog.
func StatesThat(is func(State) bool) []State {
	return slices.DeleteFunc(States(), func(s State) bool { return !is(s) })
}

// Working reports whether the image is being generated or downloaded.
func (s State) Working() bool {
	return s == Queued || s == Submitted || s == Polling || s == Answered
}

// Recoverable reports whether the image is not saved yet, but still may be, so that
// a process has to work on it now or later.
func (s State) Recoverable() bool { return s.Working() || s == PollFailed || s == FetchFailed }

// InFlight reports whether a request for the image may be in progress at the API.
func (s State) InFlight() bool { return s == Submitted || s == Polling }

// Joinable reports whether an equal call returns this image instead of a new one, as
// long as no caller received it: the image was or may have been paid for. A Queued
// image can be joined only while a process works on it.
func (s State) Joinable() bool { return s != Queued && s != Failed && s != Lost && s != Removed }

// Final reports whether no process works on the image any more.
func (s State) Final() bool { return !s.Recoverable() }

// CanBecome reports whether an image in state s can change to the state to. Every state
// can change to itself, which only changes details, except Saved and Removed.
func (s State) CanBecome(to State) bool {
	return s == to && s != Saved && s != Removed || slices.Contains(s.next(), to)
}
