package cardea

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"
)

// closeGrace is what a handler has to say goodbye on a connection that it took over.
const closeGrace = 5 * time.Second

// streamWriter makes a stream end whether its handler looks at the context or not.
type streamWriter struct {
	http.ResponseWriter
	stream *Stream
}

// Unwrap serves http.ResponseController.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write fails when the stream is over.
func (w *streamWriter) Write(b []byte) (int, error) {
	if w.stream.ctx.Err() != nil {
		return 0, context.Cause(w.stream.ctx)
	}
	return w.ResponseWriter.Write(b)
}

// Flush implements http.Flusher, which handlers of event streams ask for.
func (w *streamWriter) Flush() {
	_ = w.FlushError() // Flush has no way to say so; the next Write fails too
}

// FlushError is Flush for http.ResponseController.
func (w *streamWriter) FlushError() error {
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker, which WebSocket libraries ask for.
func (w *streamWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		context.AfterFunc(w.stream.ctx, func() {
			time.AfterFunc(w.stream.tickets.grace, func() { _ = conn.Close() }) // closed twice at worst
		})
	}
	return conn, rw, err
}
