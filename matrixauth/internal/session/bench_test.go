//go:build unix

package session

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// BenchmarkRefresh is the cost of a durable refresh below HTTP, by one client and by sixteen, beside that of a
// bare durable commit. On a machine that does something else too, cpu-us/op tells most.
func BenchmarkRefresh(b *testing.B) {
	b.Run("bare_commit", func(b *testing.B) {
		h := newBench(b)
		session, _ := h.start("D")
		defer reportCPU(b)()
		for b.Loop() {
			h.update(func(tx *store.Tx) error { return tx.NameDevice(session.ID, "name") })
		}
	})
	b.Run("one_client", func(b *testing.B) {
		h := newBench(b)
		_, tokens := h.start("D")
		defer reportCPU(b)()
		for b.Loop() {
			tokens = h.mustRefresh(tokens.Refresh)
		}
	})
	b.Run("sixteen_clients", func(b *testing.B) {
		h := newBench(b)
		b.SetParallelism(8)
		var mu sync.Mutex
		var all []time.Duration
		defer reportCPU(b)()
		b.RunParallel(func(pb *testing.PB) {
			_, tokens := h.start(model.NewDeviceID())
			var took []time.Duration
			for pb.Next() {
				begin := time.Now()
				var err error
				if tokens, err = h.sessions.Refresh(context.Background(), Refresh{Kind: model.CompatSession, Token: tokens.Refresh}); err != nil {
					b.Error(err)
					return
				}
				took = append(took, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		})
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
	})
}

// reportCPU begins to count the processor's time, and reports it per operation when the result is called.
func reportCPU(b *testing.B) func() {
	before := cpuTime(b)
	return func() {
		b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
	}
}

func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkIntrospect is the cost of what the homeserver asks most, below HTTP: about tokens of ours, of another server,
// and of nobody.
func BenchmarkIntrospect(b *testing.B) {
	ask := func(h *bench, token string) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				_, _ = h.sessions.Introspect(token)
			}
		}
	}
	h := newBench(b)
	_, tokens := h.start("OURS")
	b.Run("ours", ask(h, tokens.Access))
	b.Run("unknown_without_imports", ask(h, "syt_unknown"))
	h.startOrImport(true)
	b.Run("imported", ask(h, "syt_first"))
	b.Run("unknown", ask(h, "syt_unknown"))
}
