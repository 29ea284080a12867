package matrixauth_test

import (
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestHashesAreTimed: each password hash of a server as it is configured is one observation, and takes its time.
func TestHashesAreTimed(t *testing.T) {
	core, err := matrixauth.Open(t.Context(), matrixauth.OpenOptions{Database: filepath.Join(t.TempDir(), "auth.db"), Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := core.Close(); err != nil {
			t.Error(err)
		}
	}()
	h := house.New(t)
	server, err := matrixauth.New(core, h.Config, matrixauth.Deps{HTTP: h.Fake.HTTP()})
	h.Must(err)
	observed := func() (count uint64, sum float64) {
		registry := prometheus.NewPedanticRegistry()
		h.Must(registry.Register(core.Metrics()))
		families, err := registry.Gather()
		h.Must(err)
		for _, f := range families {
			if f.GetName() == "matrix_auth_password_hash_seconds" {
				return f.GetMetric()[0].GetHistogram().GetSampleCount(), f.GetMetric()[0].GetHistogram().GetSampleSum()
			}
		}
		t.Fatal("it is not there")
		return 0, 0
	}
	if count, sum := observed(); count != 0 || sum != 0 {
		t.Errorf("%d hashes took %v s before anything", count, sum)
	}
	server.Attach()
	_, err = matrixauth.AddUser.Do(t.Context(), server.Operator(), matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword})
	h.Must(err)
	if count, sum := observed(); count != 1 || sum <= 0 || sum > 60 {
		t.Errorf("%d hashes took %v s", count, sum)
	}
}
