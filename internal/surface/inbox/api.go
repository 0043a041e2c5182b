package inbox

import (
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/web"
)

// list answers GET messages. With wait it answers as soon as something is found, so that a
// test need not guess how long the sending takes.
func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var after auth.ID
	if s := q.Get("after"); s != "" {
		var err error
		if after, err = auth.ParseID(s); err != nil {
			refuse(w, http.StatusBadRequest, "BAD_ID", "after has to be the id of a message.")
			return
		}
	}
	wait, ok := waitOf(q.Get("wait"))
	if !ok {
		refuse(w, http.StatusBadRequest, "BAD_WAIT", "wait has to be a number of seconds.")
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed := h.c.Messages.Changed() // before looking: a message in between is not missed
		found := h.find(q, after)
		if len(found) > 0 || wait == 0 {
			answer(w, found)
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			wait = 0
		case <-r.Context().Done():
			wait = 0
		case <-h.c.Done:
			wait = 0
		}
	}
}

// waitOf reads a number of seconds, with a fraction or without. Too many are as many as there
// may be.
func waitOf(s string) (time.Duration, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0) { // not a number is not at least nothing
		return 0, false
	}
	if n >= maxWait.Seconds() {
		return maxWait, true
	}
	return time.Duration(n * float64(time.Second)), true
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Cache-Control", "no-store")
	if err := web.WriteJSON(w, http.StatusOK, v); err != nil {
		refuse(w, http.StatusInternalServerError, "INTERNAL", "The answer could not be written.")
	}
}

// message finds the message of the path, or answers that there is none.
func (h *handler) message(w http.ResponseWriter, r *http.Request) (notify.Rendered, bool) {
	if id, err := auth.ParseID(r.PathValue("id")); err == nil {
		if m, ok := h.c.Messages.Message(id); ok {
			return m, true
		}
	}
	refuse(w, http.StatusNotFound, "NOT_FOUND", "There is no such message.")
	return notify.Rendered{}, false
}

func (h *handler) one(w http.ResponseWriter, r *http.Request) {
	if m, ok := h.message(w, r); ok {
		answer(w, show(m))
	}
}

func (h *handler) remove(w http.ResponseWriter, r *http.Request) {
	if m, ok := h.message(w, r); ok {
		h.c.Messages.Delete(m.ID)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *handler) clear(w http.ResponseWriter, _ *http.Request) {
	h.c.Messages.Clear()
	w.WriteHeader(http.StatusNoContent)
}

var headTag = regexp.MustCompile(`(?i)<head\b[^>]*>`)

// html shows a mail as a mail client would: no script runs, it has no origin, and its links
// open in a window of their own.
func (h *handler) html(w http.ResponseWriter, r *http.Request) {
	m, ok := h.message(w, r)
	if !ok {
		return
	}
	if m.HTML == "" {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "The message has no HTML.")
		return
	}
	headers(w, "text/html; charset=utf-8", "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "+
		"style-src 'unsafe-inline'; img-src data: https: http:; base-uri 'self'; form-action 'none'; frame-ancestors 'self'")
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	const target = `<base target="_blank">`
	page := m.HTML
	if at := headTag.FindStringIndex(page); at != nil {
		page = page[:at[1]] + target + page[at[1]:]
	} else {
		page = target + page
	}
	_, _ = w.Write([]byte(page))
}

// events tells a page that there is something new. What is new it asks for itself.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	headers(w, "text/event-stream", "default-src 'none'")
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{}) // where it can't be, the stream ends earlier and the page comes again
	for event := "retry: 1000\nevent: change\ndata: {}\n\n"; ; event = "event: change\ndata: {}\n\n" {
		changed := h.c.Messages.Changed()
		if _, err := w.Write([]byte(event)); err != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-h.c.Done:
			return
		}
	}
}
