package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// podHeader is the header of an answer with the name of the pod that gave it.
const podHeader = "X-Seatrial-Pod"

// question is one request that the prober is to make: a line of JSON on its stdin.
type question struct {
	ID      int    `json:"id"`
	Address string `json:"address"` // "10.96.0.12:80"
	Timeout int    `json:"timeout"` // milliseconds
}

// answer is a line of JSON on its stdout.
type answer struct {
	ID    int    `json:"id"`
	Pod   string `json:"pod,omitempty"`   // who answered, where it says so
	Error string `json:"error,omitempty"` // why nobody did
}

// probe makes a request for each question and writes the answers in the order in which they come. It ends with its stdin.
func probe(in io.Reader, out io.Writer) {
	var writing sync.Mutex
	var asking sync.WaitGroup
	encoder := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			continue // a question that can't be read has no number to answer to; whoever asked times out
		}
		asking.Go(func() {
			a := answer{ID: q.ID}
			pod, err := ask(q.Address, time.Duration(q.Timeout)*time.Millisecond)
			a.Pod = pod
			if err != nil {
				a.Error = err.Error()
			}
			writing.Lock()
			defer writing.Unlock()
			_ = encoder.Encode(a) // when nobody reads, stdin ends too
		})
	}
	asking.Wait()
}

// ask makes one request over a connection of its own, so that each is given to an endpoint anew. An answer that is not HTTP is one all the same:
// somebody serves something else there.
func ask(address string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	switch {
	case err != nil && strings.Contains(err.Error(), "malformed HTTP"):
		return "", nil
	case errors.Is(err, context.DeadlineExceeded):
		return "", fmt.Errorf("no answer within %s", timeout)
	case err != nil:
		return "", err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)); err != nil {
		return "", err
	}
	if response.StatusCode >= http.StatusInternalServerError {
		return "", fmt.Errorf("answered %s", response.Status)
	}
	return response.Header.Get(podHeader), nil
}
