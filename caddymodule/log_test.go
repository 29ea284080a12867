package caddymodule

import (
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// TestLogsOfStrangersWords writes hostile words with the encoders that Caddy has (HTTP-9).
func TestLogsOfStrangersWords(t *testing.T) {
	for name, encoder := range map[string]zapcore.Encoder{
		"json":    zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		"console": zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig()),
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			core := zapcore.NewCore(encoder, zapcore.AddSync(&out), zapcore.DebugLevel)
			logger := slog.New(logHandler{zapslog.NewHandler(core)})
			for text := range hostile {
				logger.With("with", text).WithGroup("group").Warn(text, "text", text, "error", errors.New(text), "list", []string{text},
					slog.Group("inner", "text", text), "stringer", &url.URL{Opaque: text}, "any", struct{ Name string }{text}, "count", 7)
			}
			wantPrintable(t, strings.ReplaceAll(out.String(), "\t", " ")) // between the columns of the console
			if lines := strings.Count(out.String(), "\n"); lines != len(hostile) {
				t.Errorf("%d records take %d lines", len(hostile), lines)
			}
			if !strings.Contains(out.String(), `"count": 7`) && !strings.Contains(out.String(), `"count":7`) {
				t.Error("a number is not a number any more")
			}
		})
	}
}

// TestServerLogsStrangersWords has a stranger's words come to the log of a running server.
func TestServerLogsStrangersWords(t *testing.T) {
	h := newHouse(t)
	h.start()
	for text := range hostile {
		h.login(text, text)
	}
	text, err := os.ReadFile(filepath.Join(h.dir, "caddy.log"))
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"matrix_auth"`) || strings.Contains(line, `"route"`) {
			wantPrintable(t, line)
		}
	}
}
