package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// step sends the n-th request of one worker and checks its answer.
type step func(ctx context.Context, worker, n int) error

// scenario is one kind of request.
type scenario struct {
	name    string
	help    string
	prepare func(ctx context.Context, l *lab) (step, error)
}

// scenarios lists what can be measured, in the order in which it is.
func scenarios() []scenario {
	return []scenario{
		{"health", "GET /auth/v1/health", plainGet("/auth/v1/health")},
		{"jwks", "GET /auth/v1/.well-known/jwks.json", plainGet("/auth/v1/.well-known/jwks.json")},
		{"user", "GET /auth/v1/user with the tokens of -sessions accounts", prepareUser},
		{"refresh", "POST /auth/v1/token?grant_type=refresh_token, each session's tokens one after the other", prepareRefresh},
		{"signin", "POST /auth/v1/token?grant_type=password for inserted users at random", prepareSignIn},
		{"signup", "POST /auth/v1/signup with new addresses", prepareSignUp},
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// address is that of the i-th inserted user, counted from 1.
func address(i int) string { return fmt.Sprintf("load-%d@example.com", i) }

// send does one exchange; a status other than want is an error. The answer is read to its
// end, as the connection is used again, and into doc when that is not nil.
func (l *lab) send(req *http.Request, want int, doc any) error {
	res, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return err
	case res.StatusCode != want:
		return fmt.Errorf("%s: %d %.200s", req.URL.Path, res.StatusCode, body)
	case doc != nil:
		return json.Unmarshal(body, doc)
	}
	return nil
}

// post sends a JSON document under /auth/v1.
func (l *lab) post(ctx context.Context, path string, body map[string]string, doc any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+"/auth/v1"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json;charset=UTF-8")
	return l.send(req, http.StatusOK, doc)
}

func plainGet(path string) func(context.Context, *lab) (step, error) {
	return func(_ context.Context, l *lab) (step, error) {
		return func(ctx context.Context, _, _ int) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+path, nil)
			if err != nil {
				return err
			}
			return l.send(req, http.StatusOK, nil)
		}, nil
	}
}

// device is one signed-in session. Each is used by one worker only.
type device struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// devices signs users in, once for all scenarios: at least one for each worker.
func (l *lab) devices(ctx context.Context) ([]*device, error) {
	if l.signedIn != nil {
		return l.signedIn, nil
	}
	count := max(l.sessions, l.conns)
	all, errs := make([]*device, count), make([]error, l.conns)
	var group sync.WaitGroup
	for w := range l.conns {
		group.Go(func() {
			for i := w; i < count && errs[w] == nil; i += l.conns {
				all[i] = &device{}
				errs[w] = l.signInSomebody(ctx, i, all[i])
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("sign in: %w", err)
		}
	}
	l.signedIn = all
	return all, nil
}

// signInSomebody opens a session: for an inserted user, else for a new one.
func (l *lab) signInSomebody(ctx context.Context, i int, d *device) error {
	if l.users == 0 {
		return l.post(ctx, "/signup", map[string]string{"email": freshAddress(), "password": password}, d)
	}
	// Spread over all of them, so that their rows are not neighbours.
	who := 1 + int(uint64(i)*2654435761%uint64(l.users))
	return l.post(ctx, "/token?grant_type=password", map[string]string{"email": address(who), "password": password}, d)
}

// freshAddress is one that nobody has.
func freshAddress() string {
	return fmt.Sprintf("load-%x-%x@example.com", time.Now().UnixNano(), rand.Uint64())
}

// own picks the n-th of the devices that belong to a worker.
func (l *lab) own(all []*device, worker, n int) *device {
	mine := (len(all) - worker + l.conns - 1) / l.conns
	return all[worker+n%mine*l.conns]
}

func prepareUser(ctx context.Context, l *lab) (step, error) {
	all, err := l.devices(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, worker, n int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+"/auth/v1/user", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+l.own(all, worker, n).Access)
		return l.send(req, http.StatusOK, nil)
	}, nil
}

func prepareRefresh(ctx context.Context, l *lab) (step, error) {
	all, err := l.devices(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, worker, n int) error {
		d := l.own(all, worker, n)
		return l.post(ctx, "/token?grant_type=refresh_token", map[string]string{"refresh_token": d.Refresh}, d)
	}, nil
}

func prepareSignIn(ctx context.Context, l *lab) (step, error) {
	if l.users == 0 {
		return nil, fmt.Errorf("the scenario signin needs -users")
	}
	return func(ctx context.Context, _, _ int) error {
		who := address(1 + rand.IntN(l.users))
		return l.post(ctx, "/token?grant_type=password", map[string]string{"email": who, "password": password}, nil)
	}, nil
}

func prepareSignUp(_ context.Context, l *lab) (step, error) {
	return func(ctx context.Context, _, _ int) error {
		return l.post(ctx, "/signup", map[string]string{"email": freshAddress(), "password": password}, nil)
	}, nil
}
