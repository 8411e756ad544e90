package textfile

import "os"

// Source is a file that is read again when it changes. Its methods must not be called
// concurrently.
type Source struct {
	path    string
	read    func(f *os.File, info os.FileInfo) error
	info    os.FileInfo // of the file as it was last read
	failure error       // of the last read
}

// NewSource returns a source that passes the file to read, which fails if it cannot use it.
func NewSource(path string, read func(f *os.File, info os.FileInfo) error) *Source {
	return &Source{path: path, read: read}
}

// Load reads the file.
func (s *Source) Load() error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.info = info // also of a bad file: it is not read again until it changes
	return s.read(f, info)
}

// Reload reads the file if it was changed, or always. If it was not, err is that of the
// last read.
func (s *Source) Reload(always bool) (changed bool, err error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return false, err
	}
	same := s.info != nil && os.SameFile(info, s.info) && info.ModTime().Equal(s.info.ModTime()) && info.Size() == s.info.Size() && info.Mode() == s.info.Mode()
	if same && !always {
		return false, s.failure
	}
	s.failure = s.Load()
	return true, s.failure
}
