package session

import (
	"context"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// BenchmarkRefresh is the cost of a durable refresh below HTTP, by one client and by sixteen.
func BenchmarkRefresh(b *testing.B) {
	b.Run("one_client", func(b *testing.B) {
		h := newBench(b)
		_, tokens := h.start("D")
		for b.Loop() {
			tokens = h.mustRefresh(tokens.Refresh)
		}
	})
	b.Run("sixteen_clients", func(b *testing.B) {
		h := newBench(b)
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			_, tokens := h.start(model.NewDeviceID())
			for pb.Next() {
				var err error
				if tokens, err = h.sessions.Refresh(context.Background(), Refresh{Kind: model.CompatSession, Token: tokens.Refresh}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
