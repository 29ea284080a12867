package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// quick makes a Hasher whose hashes cost next to nothing.
func quick(c Config) *Hasher {
	c.Memory, c.Time = 8, 1
	return New(c)
}

// TestDefaults is PW-1.
func TestDefaults(t *testing.T) {
	h := New(Config{})
	phc, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash is %s", phc)
	}
	if got, err := h.Verify(t.Context(), phc, "correct horse"); err != nil || got != (Result{OK: true}) {
		t.Errorf("Verify = %+v, %v", got, err)
	}
	if got, err := h.Verify(t.Context(), phc, "correct horsf"); err != nil || got != (Result{}) {
		t.Errorf("Verify of a wrong password = %+v, %v", got, err)
	}
}

// TestHashesAtOnce: a storm of sign-ins leaves processors to those who are signed in.
func TestHashesAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for processors, want := range map[int]int{1: 1, 2: 1, 3: 1, 8: 4} {
		runtime.GOMAXPROCS(processors)
		if got := cap(New(Config{}).slots); got != want {
			t.Errorf("with %d processors %d hashes at once, want %d", processors, got, want)
		}
	}
}

func TestHash(t *testing.T) {
	h := quick(Config{})
	verify := func(t *testing.T, phc, password string, want Result) {
		t.Helper()
		if got, err := h.Verify(t.Context(), phc, password); err != nil || got != want {
			t.Errorf("Verify(%q) = %+v, %v; want %+v", password, got, err, want)
		}
	}
	hash := func(t *testing.T, password string) string {
		t.Helper()
		phc, err := h.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		return phc
	}
	t.Run("two_hashes_of_one_password_differ", func(t *testing.T) {
		if hash(t, "a") == hash(t, "a") {
			t.Error("the same salt twice")
		}
	})
	t.Run("long_passwords_count_in_full", func(t *testing.T) { // PW-2
		long := strings.Repeat("x", bound.PasswordMost)
		phc := hash(t, long)
		verify(t, phc, long, Result{OK: true})
		verify(t, phc, long[1:], Result{})
		verify(t, phc, long[1:]+"y", Result{})
	})
	t.Run("what_follows_a_nul_counts", func(t *testing.T) {
		phc := hash(t, "a\x00b")
		verify(t, phc, "a\x00b", Result{OK: true})
		verify(t, phc, "a\x00c", Result{})
		verify(t, phc, "a", Result{})
	})
	t.Run("one_normalization_at_set_and_verify", func(t *testing.T) { // PW-7
		forms := []string{"\u00e9\ufb01", "e\u0301fi", "\u00e9fi"}
		for _, set := range forms {
			phc := hash(t, set)
			for _, given := range forms {
				verify(t, phc, given, Result{OK: true})
			}
			verify(t, phc, "efi", Result{})
		}
	})
	t.Run("broken_utf8_is_a_password_too", func(t *testing.T) {
		phc := hash(t, "a\xff")
		verify(t, phc, "a\xff", Result{OK: true})
		verify(t, phc, "a\xfe", Result{})
		verify(t, phc, "a\ufffd", Result{})
	})
}

// TestUpgrade is PW-1 and PW-2: right passwords under other parameters are to be hashed anew.
func TestUpgrade(t *testing.T) {
	h := quick(Config{})
	for name, c := range map[string]struct {
		other *Hasher
		want  Result
	}{
		"same":         {quick(Config{}), Result{OK: true}},
		"other_memory": {New(Config{Memory: 16, Time: 1}), Result{OK: true, Upgrade: true}},
		"other_time":   {New(Config{Memory: 8, Time: 2}), Result{OK: true, Upgrade: true}},
		"other_lanes":  {New(Config{Memory: 16, Time: 1, Parallelism: 2}), Result{OK: true, Upgrade: true}},
	} {
		t.Run(name, func(t *testing.T) {
			phc, err := c.other.Hash(t.Context(), "password")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.Verify(t.Context(), phc, "password"); err != nil || got != c.want {
				t.Errorf("Verify = %+v, %v; want %+v", got, err, c.want)
			}
			if got, err := h.Verify(t.Context(), phc, "wrong"); err != nil || got != (Result{}) {
				t.Errorf("Verify of a wrong password = %+v, %v", got, err)
			}
		})
	}
}

// TestTooLong is PW-4: nothing is hashed, whoever the user is.
func TestTooLong(t *testing.T) {
	h := quick(Config{})
	long := strings.Repeat("x", bound.PasswordMost+1)
	_, hash := h.Hash(t.Context(), long)
	_, verify := h.Verify(t.Context(), "no hash", long)
	for name, err := range map[string]error{"hash": hash, "verify": verify, "nobody": h.VerifyDummy(t.Context(), long)} {
		if !errors.Is(err, ErrTooLong) {
			t.Errorf("%s: %v; want ErrTooLong", name, err)
		}
	}
	if got := h.Stats(); got != (Stats{}) {
		t.Errorf("stats are %+v", got)
	}
}

// work is what one argon2id was asked to do.
type work struct {
	password     string
	time, memory uint32
	threads      uint8
	salt, length int
}

// TestEqualCost is PW-3: nobody costs what a user costs, counted in hashes of the same parameters.
func TestEqualCost(t *testing.T) {
	for _, given := range []string{"right", "wrong", "", "\ufb01e\u0301", strings.Repeat("x", bound.PasswordMost)} {
		var did []work
		h := New(Config{})
		h.argon2id = func(password, salt []byte, time, memory uint32, threads uint8, length uint32) []byte {
			did = append(did, work{string(password), time, memory, threads, len(salt), int(length)})
			return make([]byte, length)
		}
		phc, err := h.Hash(t.Context(), "right")
		if err != nil {
			t.Fatal(err)
		}
		did = nil
		if _, err := h.Verify(t.Context(), phc, given); err != nil {
			t.Fatal(err)
		}
		if err := h.VerifyDummy(t.Context(), given); err != nil {
			t.Fatal(err)
		}
		if len(did) != 2 || did[0] != did[1] {
			t.Errorf("for %.10q: %+v; want the same twice", given, did)
		}
		if got := h.Stats().Hashes; got != 3 {
			t.Errorf("%d hashes were counted; want 3", got)
		}
	}
}

// held is a Hasher whose hashes run until they are let go.
type held struct {
	*Hasher
	begun chan struct{}
	free  chan struct{}
}

func hold(c Config) held {
	h := held{quick(c), make(chan struct{}, 1000), make(chan struct{})}
	h.argon2id = func(_, _ []byte, _, _ uint32, _ uint8, length uint32) []byte {
		h.begun <- struct{}{}
		<-h.free
		return make([]byte, length)
	}
	return h
}

// until polls a condition that another goroutine is about to make true.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestBound is PW-4: no more hashes at once than allowed, and a queue that ends.
func TestBound(t *testing.T) {
	const concurrent, queue = 3, 5
	h := hold(Config{Concurrent: concurrent, Queue: queue})
	var group sync.WaitGroup
	for range concurrent + queue {
		group.Go(func() {
			if err := h.VerifyDummy(context.Background(), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "the queue is full", func() bool { s := h.Stats(); return s.Running == concurrent && s.Waiting == queue })
	for range concurrent {
		<-h.begun
	}
	t.Run("a_full_queue_refuses", func(t *testing.T) {
		_, hash := h.Hash(t.Context(), "x")
		_, verify := h.Verify(t.Context(), h.current.String(), "x")
		for name, err := range map[string]error{"hash": hash, "verify": verify, "nobody": h.VerifyDummy(t.Context(), "x")} {
			if !errors.Is(err, ErrBusy) {
				t.Errorf("%s: %v; want ErrBusy", name, err)
			}
		}
	})
	t.Run("not_one_hash_more_than_allowed", func(t *testing.T) {
		for i := range queue {
			if got := len(h.begun); got != 0 {
				t.Fatalf("%d hashes run beyond the bound", got)
			}
			h.free <- struct{}{}
			<-h.begun
			if got := h.Stats(); got.Running != concurrent || got.Waiting != queue-i-1 {
				until(t, "the queue moves on", func() bool { return h.Stats().Waiting == queue-i-1 })
			}
		}
	})
	close(h.free)
	group.Wait()
	if got, want := h.Stats(), (Stats{Hashes: concurrent + queue, Refused: 3}); got != want {
		t.Errorf("stats are %+v; want %+v", got, want)
	}
}

// TestGivenUp: who stops waiting costs nothing and leaves the queue.
func TestGivenUp(t *testing.T) {
	h := hold(Config{Concurrent: 1, Queue: 1})
	var group sync.WaitGroup
	defer group.Wait()
	defer close(h.free)
	group.Go(func() {
		if err := h.VerifyDummy(context.Background(), "x"); err != nil {
			t.Error(err)
		}
	})
	<-h.begun
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the client hung up")
	result := make(chan error, 1)
	go func() { result <- h.VerifyDummy(ctx, "x") }()
	until(t, "one waits", func() bool { return h.Stats().Waiting == 1 })
	cancel(reason)
	if err := <-result; !errors.Is(err, ErrBusy) || !errors.Is(err, reason) {
		t.Errorf("error is %v; want ErrBusy and its cause", err)
	}
	if got := h.Stats(); got.Waiting != 0 || got.Hashes != 1 || got.Refused != 1 {
		t.Errorf("stats are %+v", got)
	}
	if err := h.VerifyDummy(ctx, "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("error with a context that has ended is %v", err)
	}
}

func TestNoQueue(t *testing.T) {
	h := hold(Config{Concurrent: 1, Queue: -1})
	done := make(chan error, 1)
	go func() { done <- h.VerifyDummy(context.Background(), "x") }()
	<-h.begun
	if err := h.VerifyDummy(t.Context(), "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("error is %v; want ErrBusy", err)
	}
	close(h.free)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestObserve(t *testing.T) {
	now := time.Unix(0, 0)
	var took []time.Duration
	h := quick(Config{
		Observe: func(d time.Duration) { took = append(took, d) },
		Now:     func() time.Time { now = now.Add(time.Second); return now },
	})
	if err := h.VerifyDummy(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if len(took) != 1 || took[0] != time.Second {
		t.Errorf("observed %v; want one of 1s", took)
	}
}

func TestNewRefusesParametersItCouldNotVerify(t *testing.T) {
	for name, c := range map[string]Config{
		"memory": {Memory: maxMemory + 1}, "little_memory": {Memory: 8, Parallelism: 2}, "time": {Memory: 8, Time: maxTime + 1},
		"lanes": {Parallelism: maxParallelism + 1}, "work": {Memory: maxMemory, Time: 5},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			New(c)
		})
	}
}

// BenchmarkArgon2idBare and BenchmarkHash show what the package adds to one hash.
func BenchmarkArgon2idBare(b *testing.B) {
	salt := make([]byte, saltLength)
	for b.Loop() {
		argon2.IDKey([]byte("correct horse battery staple"), salt, DefaultTime, DefaultMemory, DefaultParallelism, tagLength)
	}
}

func BenchmarkHash(b *testing.B) {
	h := New(Config{})
	for b.Loop() {
		if _, err := h.Hash(b.Context(), "correct horse battery staple"); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleHasher() {
	h := New(Config{})
	phc, err := h.Hash(context.Background(), "correct horse battery staple")
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := h.Verify(context.Background(), phc, "correct horse battery staple")
	fmt.Println(result.OK, result.Upgrade, err)
	// Output: true false <nil>
}
