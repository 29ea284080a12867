//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// result is what a load gave.
type result struct {
	perSecond float64
	p50, p99  time.Duration
}

// connections is how many clients a load has unless it says otherwise.
const connections = 16

// load sends requests over kept connections for a while and measures the answers. It writes and reads
// bytes itself: an HTTP client of comfort would cost more than the server that is measured.
func load(t *testing.T, address string, clients int, during time.Duration, request func(*rand.Rand) []byte) result {
	t.Helper()
	var group sync.WaitGroup
	times := make([][]time.Duration, clients)
	failures := make(chan error, clients)
	start := time.Now()
	for i := range clients {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), uint64(start.UnixNano())))
			took, err := client(address, start.Add(during), func() []byte { return request(random) })
			times[i] = took
			if err != nil {
				failures <- err
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	close(failures)
	for err := range failures {
		t.Fatal(err)
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	return result{float64(len(all)) / took.Seconds(), all[len(all)/2], all[len(all)*99/100]}
}

func client(address string, end time.Time, request func() []byte) (times []time.Duration, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 16<<10)
	for time.Now().Before(end) {
		begin := time.Now()
		if _, err := conn.Write(request()); err != nil {
			return nil, err
		}
		if _, err := readAnswer(reader); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

// readAnswer reads an answer with 200 and a Content-Length, and gives its body.
func readAnswer(r *bufio.Reader) ([]byte, error) {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return nil, fmt.Errorf("the answer was %q", line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
	}
	body := make([]byte, max(length, 0))
	_, err := io.ReadFull(r, body)
	return body, err
}

// post writes a request with a body.
func post(host, path, kind, authorization string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n", http.MethodPost, path, host, kind, len(body))
	if authorization != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", authorization)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// get writes a request without one.
func get(host, path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
}
