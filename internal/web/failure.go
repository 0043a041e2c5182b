package web

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// Failure is the body of every error of our own APIs (/api, /admin/v1).
type Failure struct {
	Detail    string   `json:"detail" doc:"What went wrong, for people. Programs look at code."`
	Code      string   `json:"code" doc:"Stable name of the error."`
	RequestID string   `json:"request_id" doc:"Names the line of this request in the server's log."`
	Reasons   []string `json:"reasons,omitempty" doc:"Why a password was refused, such as length, characters or pwned."`
}

// WriteFailure answers with f, under the id of the request. The challenge says what has to
// come instead of the credential (RFC 9110 §11.6.1); "" sends none.
func WriteFailure(w http.ResponseWriter, r *http.Request, status int, challenge string, f Failure) {
	if ev := EventFrom(r.Context()); ev != nil {
		f.RequestID = ev.RequestID
	}
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	_ = WriteJSON(w, status, f)
}

// RetryAfter says when trying again makes sense, in whole seconds, never too few. Zero says
// nothing.
func RetryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}
