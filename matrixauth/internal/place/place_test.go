//go:build unix

package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stranger is a user who is not the one that runs the tests.
const stranger = 65534

// asRoot skips what only root can try: to meet files of somebody else.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
	must(t, os.Chmod(path, mode))
	return path
}

func wantRefused(t *testing.T, err error, what string) {
	t.Helper()
	var problem *Error
	if !errors.As(err, &problem) || !strings.Contains(err.Error(), what) || problem.Change == "" {
		t.Fatalf("got %v, want a refusal that says %q", err, what)
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || string(text) != want {
		t.Fatalf("%s holds %q, %v; want %q", path, text, err, want)
	}
}

// TestOpen follows no link and takes nothing that is not ours (KEY-14).
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	target := write(t, filepath.Join(dir, "target"), "target", 0o600)
	open := func(name string) error {
		f, _, err := Open(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, Closed)
		if err == nil {
			err = errors.Join(f.Truncate(0), f.Close())
		}
		return err
	}
	for name, test := range map[string]struct {
		plant func(path string) error
		want  string
	}{
		"a_link":            {func(path string) error { return os.Symlink(target, path) }, "symbolic link"},
		"a_link_to_nowhere": {func(path string) error { return os.Symlink(target+"2", path) }, "symbolic link"},
		"a_second_name":     {func(path string) error { return os.Link(target, path) }, "hard link"},
		"a_pipe":            {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file"},
		"a_directory":       {func(path string) error { return os.Mkdir(path, 0o700) }, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			must(t, test.plant(path))
			wantRefused(t, open(name), test.want)
			wantRefused(t, Inspect(path, os.Geteuid(), Closed), test.want)
			wantContent(t, target, "target")
			must(t, os.RemoveAll(path))
			if _, err := os.Lstat(target + "2"); err == nil {
				t.Error("the target of a link was made")
			}
		})
	}
	t.Run("a_file_of_somebody_else", func(t *testing.T) {
		asRoot(t)
		path := write(t, filepath.Join(dir, "theirs"), "theirs", 0o600)
		must(t, os.Chown(path, stranger, stranger))
		wantRefused(t, open("theirs"), "belongs to "+UserName(stranger))
		wantRefused(t, Inspect(path, 0, Closed), "belongs to "+UserName(stranger))
		wantContent(t, path, "theirs")
		must(t, Inspect(path, stranger, Closed))
	})
	t.Run("a_link_of_somebody_else_on_the_way", func(t *testing.T) {
		asRoot(t)
		must(t, os.Symlink(dir, filepath.Join(dir, "way")))
		must(t, open("way/target2"))
		must(t, os.Lchown(filepath.Join(dir, "way"), stranger, stranger))
		wantRefused(t, open("way/target3"), "which root does not follow")
	})
}

// TestModes closes what is open to others, and says so.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		openness   Openness
		have, want fs.FileMode
	}{
		"closed":              {Closed, 0o600, 0o600},
		"readable_by_all":     {Closed, 0o644, 0o600},
		"readable_by_a_group": {Closed, 0o640, 0o600},
		"executable":          {Closed, 0o755, 0o600},
		"only_readable":       {Closed, 0o400, 0o400},
		"lent_by_a_list":      {Lent, 0o640, 0o640},
		"lent_to_all":         {Lent, 0o644, 0o640},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(dir, name), "", test.have)
			if err := Inspect(path, os.Geteuid(), test.openness); (err == nil) != (test.have == test.want) {
				t.Errorf("to look at it gave %v", err)
			}
			f, mended, err := Open(path, os.O_RDONLY, test.openness)
			must(t, err)
			must(t, f.Close())
			info, err := os.Stat(path)
			must(t, err)
			if info.Mode().Perm() != test.want || (mended == "") != (test.have == test.want) {
				t.Errorf("mode %04o, %q", info.Mode().Perm(), mended)
			}
			must(t, Inspect(path, os.Geteuid(), test.openness))
		})
	}
}

// TestDirectories checks who may put files beside the database.
func TestDirectories(t *testing.T) {
	make := func(t *testing.T, mode fs.FileMode, owner int) string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "dir")
		must(t, os.Mkdir(dir, 0o700))
		if owner != os.Geteuid() {
			asRoot(t)
			must(t, os.Chown(dir, owner, owner))
		}
		must(t, os.Chmod(dir, mode))
		return dir
	}
	for _, mode := range []fs.FileMode{0o700, 0o755, 0o770, 0o750} {
		mended, err := CheckDir(make(t, mode, os.Geteuid()))
		if err != nil || mended != "" {
			t.Errorf("%04o: %q %v", mode, mended, err)
		}
	}
	t.Run("our_own_that_all_may_write_is_closed", func(t *testing.T) {
		dir := make(t, 0o777, os.Geteuid())
		wantRefused(t, InspectDir(dir, os.Geteuid()), "everybody may put files there")
		mended, err := CheckDir(dir)
		if info, statErr := os.Stat(dir); err != nil || statErr != nil || info.Mode().Perm() != 0o775 || mended == "" {
			t.Errorf("%q %v", mended, err)
		}
	})
	t.Run("somebody_elses_that_all_may_write", func(t *testing.T) {
		_, err := CheckDir(make(t, 0o777|fs.ModeSticky, stranger))
		wantRefused(t, err, "everybody may put files there")
	})
	t.Run("of_another_user_than_the_server's", func(t *testing.T) {
		wantRefused(t, InspectDir(make(t, 0o700, stranger), 12345), "belongs to "+UserName(stranger))
	})
}

// TestReplace writes beside and renames: nothing that was planted is written through (KEY-14).
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret")
	target := write(t, filepath.Join(dir, "target"), "target", 0o644)
	for name, plant := range map[string]func() error{
		"nothing": func() error { return nil },
		"a_link":  func() error { return os.Symlink(target, path) },
		"a_name":  func() error { return os.Link(target, path) },
		"a_file":  func() error { return os.WriteFile(path, []byte("old"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, plant())
			must(t, Replace(path, []byte("new")))
			wantContent(t, path, "new")
			wantContent(t, target, "target")
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("%v %v", info, err)
			}
			must(t, os.Remove(path))
		})
	}
	t.Run("as_root_for_the_directory's_owner", func(t *testing.T) {
		asRoot(t)
		theirs := filepath.Join(dir, "theirs")
		must(t, os.Mkdir(theirs, 0o700))
		must(t, os.Chown(theirs, stranger, stranger))
		must(t, os.Symlink(target, filepath.Join(theirs, "secret")))
		must(t, Replace(filepath.Join(theirs, "secret"), []byte("new")))
		info, err := os.Lstat(filepath.Join(theirs, "secret"))
		must(t, err)
		if owner, _ := Owner(info); owner != stranger || info.Mode() != 0o600 {
			t.Errorf("it belongs to %d, mode %v", owner, info.Mode())
		}
		info, err = os.Lstat(target)
		must(t, err)
		if owner, _ := Owner(info); owner != 0 {
			t.Error("the target of the link was given away")
		}
		wantContent(t, target, "target")
	})
	if left, err := filepath.Glob(filepath.Join(dir, ".secret*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestGuarded trusts the owner of a file only where nobody else could have put it.
func TestGuarded(t *testing.T) {
	asRoot(t)
	dir := t.TempDir() // below a directory that everybody may write
	theirs := write(t, filepath.Join(dir, "theirs"), "", 0o600)
	must(t, os.Chown(theirs, stranger, stranger))
	if owner, ok := Guarded(theirs); ok {
		t.Errorf("%d is trusted below %s", owner, os.TempDir())
	}
	guarded, err := os.MkdirTemp("/var/lib", "matrix-auth-test-")
	if err != nil {
		t.Skip("no directory of root's can be written:", err)
	}
	t.Cleanup(func() { must(t, os.RemoveAll(guarded)) })
	must(t, os.Chown(guarded, stranger, stranger))
	theirs = write(t, filepath.Join(guarded, "theirs"), "", 0o600)
	must(t, os.Chown(theirs, stranger, stranger))
	if owner, ok := Guarded(theirs); !ok || owner != stranger {
		t.Errorf("the owner of a well-guarded file is not trusted: %d", owner)
	}
	must(t, os.Chmod(guarded, 0o777))
	if _, ok := Guarded(theirs); ok {
		t.Error("the directory can be written by everybody")
	}
	must(t, os.Chmod(guarded, 0o755))
	must(t, os.Symlink(guarded, guarded+"-link"))
	t.Cleanup(func() { must(t, os.Remove(guarded+"-link")) })
	if _, ok := Guarded(guarded + "-link/theirs"); !ok {
		t.Error("a link of root's is not followed")
	}
	must(t, os.Lchown(guarded+"-link", stranger, stranger))
	if _, ok := Guarded(guarded + "-link/theirs"); ok {
		t.Error("a link of somebody else's is followed")
	}
}

// TestMakeDir makes directories for a user only where they could themselves, and by no link of theirs (KEY-14).
func TestMakeDir(t *testing.T) {
	asRoot(t)
	top := t.TempDir()
	must(t, os.Chmod(top, 0o755))
	home := filepath.Join(top, "home")
	must(t, os.Mkdir(home, 0o755))
	must(t, os.Chown(home, stranger, stranger))
	deep := filepath.Join(home, ".local", "share", "caddy")
	for range 2 { // what is there is left as it is
		must(t, MakeDir(deep, stranger, stranger))
	}
	for _, dir := range []string{filepath.Join(home, ".local"), filepath.Join(home, ".local", "share"), deep} {
		info, err := os.Lstat(dir)
		must(t, err)
		if owner, _ := Owner(info); owner != stranger || info.Mode().Perm() != 0o700 {
			t.Errorf("%s is %v of %d", dir, info.Mode(), owner)
		}
	}
	must(t, Create(filepath.Join(deep, "secret"), []byte("x")))
	info, err := os.Lstat(filepath.Join(deep, "secret"))
	must(t, err)
	if owner, _ := Owner(info); owner != stranger || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v of %d", info.Mode(), owner)
	}
	if err := Create(filepath.Join(deep, "secret"), []byte("y")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second file: %v", err)
	}
	wantContent(t, filepath.Join(deep, "secret"), "x")

	t.Run("below a directory of somebody else", func(t *testing.T) {
		wantRefused(t, MakeDir(filepath.Join(top, "data", "x"), stranger, stranger), "install -d -m 700 -o")
		if _, err := os.Lstat(filepath.Join(top, "data")); err == nil {
			t.Error("it was made")
		}
	})
	t.Run("one of somebody else", func(t *testing.T) {
		wantRefused(t, MakeDir(top, stranger, stranger), "belongs to root")
	})
	t.Run("by a link of the user", func(t *testing.T) {
		must(t, os.Mkdir(filepath.Join(top, "roots"), 0o700))
		link := filepath.Join(home, "link")
		must(t, os.Symlink(filepath.Join(top, "roots"), link))
		must(t, os.Lchown(link, stranger, stranger))
		if err := MakeDir(filepath.Join(link, "x"), stranger, stranger); err == nil {
			t.Error("the link was followed")
		}
		if err := Create(filepath.Join(link, "x"), nil); err == nil {
			t.Error("the link was followed to a file")
		}
		if found, err := os.ReadDir(filepath.Join(top, "roots")); err != nil || len(found) > 0 {
			t.Errorf("root's directory holds %v, %v", found, err)
		}
	})
	t.Run("root's own", func(t *testing.T) {
		must(t, MakeDir(filepath.Join(top, "a", "b"), 0, 0))
	})
}
