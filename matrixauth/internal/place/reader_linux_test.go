package place

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// kernelAllows has the kernel say whether a user may read a file.
func kernelAllows(t *testing.T, path string, who Reader) bool {
	t.Helper()
	cmd := exec.Command("/bin/cat", path)
	groups := make([]uint32, len(who.GIDs))
	for i, gid := range who.GIDs {
		groups[i] = uint32(gid)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(who.UID), Gid: groups[0], Groups: groups}}
	err := cmd.Run()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return err == nil
}

// setAccess gives a file an access list. It reports false where the disk has none.
func setAccess(t *testing.T, path string, entries []accessEntry) bool {
	t.Helper()
	data := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		data = binary.LittleEndian.AppendUint16(data, e.tag)
		data = binary.LittleEndian.AppendUint16(data, e.rights)
		data = binary.LittleEndian.AppendUint32(data, uint32(e.id))
	}
	err := unix.Setxattr(path, accessList, data, 0)
	if errors.Is(err, unix.ENOTSUP) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// publicDir is a directory that everybody may enter, and all above it.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "place")
	if err := errors.Join(err, os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestMayRead has the kernel judge modes, owners and access lists by chance, and holds MayRead to it.
func TestMayRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can ask in the name of others")
	}
	nobody := uint32(0xffffffff) // no constant, which an int of 32 bits could not hold
	random := rand.New(rand.NewPCG(1, 2))
	who := Reader{UID: 4001, GIDs: []int{4001, 4002}}
	ids := []int{0, 4001, 4002, 4003}
	some := func() int { return ids[random.IntN(len(ids))] }
	lists := 0
	saw := map[bool]int{}
	for range 400 {
		dir := publicDir(t)
		places := []string{dir, filepath.Join(dir, "a"), filepath.Join(dir, "a", "b"), filepath.Join(dir, "a", "b", "secret")}
		if err := errors.Join(os.MkdirAll(places[2], 0o755), os.WriteFile(places[3], []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		for _, place := range places[1:] {
			mode := os.FileMode(random.IntN(0o1000)) | os.FileMode(random.IntN(0o1000)) // rather open
			if err := errors.Join(os.Chown(place, some(), some()), os.Chmod(place, mode)); err != nil {
				t.Fatal(err)
			}
			if random.IntN(2) == 0 {
				continue
			}
			rights := func() uint16 { return uint16(random.IntN(8) | random.IntN(8)) }
			entries := []accessEntry{{0x01, rights(), int(nobody)}}
			if random.IntN(2) == 0 {
				entries = append(entries, accessEntry{tagUser, rights(), 4001})
			}
			entries = append(entries, accessEntry{tagGroup, rights(), int(nobody)})
			if random.IntN(2) == 0 {
				entries = append(entries, accessEntry{tagNamedGroup, rights(), 4002})
			}
			entries = append(entries, accessEntry{tagMask, rights(), int(nobody)}, accessEntry{tagOther, rights(), int(nobody)})
			if setAccess(t, place, entries) {
				lists++
			}
		}
		obstacles, err := MayRead(places[3], who)
		if err != nil {
			t.Fatal(err)
		}
		want := kernelAllows(t, places[3], who)
		if saw[want]++; (len(obstacles) == 0) != want {
			out, _ := exec.Command("ls", "-ld", places[1], places[2], places[3]).CombinedOutput()
			t.Fatalf("the kernel says %v, and MayRead %v\n%s", want, obstacles, out)
		}
	}
	if saw[true] < 20 || saw[false] < 20 {
		t.Errorf("the cases are of one kind: %v", saw)
	}
	t.Logf("%v, %d access lists", saw, lists)
}

// TestMayReadByLinks follows links as the system does, and names each directory once.
func TestMayReadByLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can ask in the name of others")
	}
	dir := publicDir(t)
	who := Reader{UID: 4001, GIDs: []int{4001}}
	closed, open := filepath.Join(dir, "closed"), filepath.Join(dir, "open")
	secret := filepath.Join(closed, "secret")
	link, folder, loop := filepath.Join(open, "link"), filepath.Join(open, "folder"), filepath.Join(open, "loop")
	if err := errors.Join(os.Mkdir(closed, 0o700), os.Mkdir(open, 0o755), os.WriteFile(secret, []byte("x"), 0o600),
		os.Symlink("../closed/secret", link), os.Symlink(closed, folder), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	want := []Obstacle{{closed, true}, {secret, false}}
	for _, path := range []string{secret, link, filepath.Join(folder, "secret"), closed + "/../closed/./secret"} {
		if got, err := MayRead(path, who); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v", path, got, err)
		}
	}
	if got, err := MayRead(secret, Reader{}); err != nil || len(got) != 0 {
		t.Errorf("root: got %v, %v", got, err)
	}
	for _, path := range []string{filepath.Join(closed, "none"), loop, filepath.Join(secret, "x")} {
		if _, err := MayRead(path, who); err == nil {
			t.Errorf("%s can be looked at", path)
		}
	}
}
