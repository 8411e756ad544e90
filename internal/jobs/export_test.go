package jobs

import "time"

// NextTry returns how long to wait before an image of an age is fetched again.
func NextTry(age time.Duration) time.Duration { return nextTry(age) }
