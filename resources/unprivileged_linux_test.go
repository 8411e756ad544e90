package resources_test

import (
	"database/sql"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"zai-image-mcp/resources"
)

// unprivileged runs f with the file permissions of an ordinary user, even if the test
// runs as root (setfsuid(2)).
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	require.NoError(t, unix.Setfsuid(nobody))
	defer func() { require.NoError(t, unix.Setfsuid(0)) }()
	f()
}

// openToAll returns a folder that every user may write to.
func openToAll(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "zai-image") //nolint:usetesting // t.TempDir is closed to other users
	require.NoError(t, err)
	require.NoError(t, os.Chmod(folder, 0o777))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	return folder
}

// Prepare fails if the folder does not accept a new file.
func TestPrepare_ReadOnlyFolder(t *testing.T) {
	t.Parallel()
	folder := openToAll(t)
	l := open(t, folder)
	i := save(t, l, "before", []byte("x"))
	day := folder + "/" + i.Path[:len("2026/01/02")]
	require.NoError(t, os.Chmod(day, 0o555))
	t.Cleanup(func() { require.NoError(t, os.Chmod(day, 0o755)) })
	unprivileged(t, func() {
		err := l.Prepare(t.Context(), i.CreatedAt)
		require.ErrorIs(t, err, os.ErrPermission)
		var storage interface{ Advice() string }
		require.ErrorAs(t, err, &storage)
		require.Contains(t, storage.Advice(), "writable")
		require.Contains(t, storage.Advice(), day)
	})
}

// Check reports an unreadable folder and checks the others.
func TestCheck_UnreadableFolder(t *testing.T) {
	t.Parallel()
	folder := openToAll(t)
	l := open(t, folder)
	save(t, l, "x", []byte("x"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.Chmod(folder+"/.catalog.db"+suffix, 0o666))
	}
	for _, name := range []string{"lost+found", "2020"} {
		require.NoError(t, os.Mkdir(folder+"/"+name, 0o000))
		t.Cleanup(func() { require.NoError(t, os.Chmod(folder+"/"+name, 0o755)) })
	}
	unprivileged(t, func() {
		report, err := l.Check(t.Context(), true, nil)
		require.NoError(t, err)
		require.Equal(t, 1, report.Images)
		require.Equal(t, []resources.Problem{{Kind: resources.Unreadable, Path: "2020", Detail: "the folder cannot be read"}}, report.Problems)
		_, err = l.Reindex(t.Context(), "local", nil)
		require.NoError(t, err)
	})
}

// makeReadOnly removes the permission to write from a folder and its catalog.
func makeReadOnly(t *testing.T, folder string) {
	t.Helper()
	for _, name := range []string{folder, folder + "/.catalog.db"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(name, info.Mode().Perm()&^0o222|0o444))
		t.Cleanup(func() { require.NoError(t, os.Chmod(name, 0o777)) })
	}
}

// A library on read-only media can be listed, read and checked.
func TestCatalog_ReadOnlyMedia(t *testing.T) {
	t.Parallel()
	folder := openToAll(t)
	first := open(t, folder)
	i := save(t, first, "a fox", []byte("x"))
	require.NoError(t, first.Close())
	makeReadOnly(t, folder)
	unprivileged(t, func() {
		l := open(t, folder)
		list, _, err := l.List(t.Context(), "local", "fox", "", 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		b, err := l.Read(t.Context(), i)
		require.NoError(t, err)
		require.Equal(t, "x", string(b))
		report, err := l.Check(t.Context(), true, nil)
		require.NoError(t, err)
		require.Empty(t, report.Problems)
		require.ErrorIs(t, l.Prepare(t.Context(), time.Now()), resources.ErrStorage)
		_, err = reserveOne(l, i, 0)
		require.ErrorIs(t, err, resources.ErrStorage)
		require.ErrorIs(t, l.Catalog().EndDelivery(t.Context(), "", []string{i.ID}, true), resources.ErrStorage)
	})
}

// A catalog that is read-only and has another schema is refused with the reason.
func TestCatalog_ReadOnlyVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, change, reason string }{
		{"older", "-1", "must be upgraded"},
		{"newer", "+1", "newer version of this program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := openToAll(t)
			first := open(t, folder)
			save(t, first, "a fox", []byte("x"))
			require.NoError(t, first.Close())
			db, err := sql.Open("sqlite", folder+"/.catalog.db")
			require.NoError(t, err)
			var version string
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT user_version"+c.change+" FROM pragma_user_version").Scan(&version))
			_, err = db.ExecContext(t.Context(), "PRAGMA user_version="+version)
			require.NoError(t, err)
			require.NoError(t, db.Close())
			makeReadOnly(t, folder)
			unprivileged(t, func() {
				_, _, err := open(t, folder).List(t.Context(), "local", "fox", "", 10)
				require.ErrorIs(t, err, resources.ErrStorage)
				require.ErrorContains(t, err, c.reason)
			})
		})
	}
}
