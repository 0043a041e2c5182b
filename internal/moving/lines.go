package moving

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lines reads a file line by line. A line over the limit is skipped, and told.
type lines struct {
	r    *bufio.Reader
	n    int64 // number of the line that was read last
	at   int64 // offset of the line that was read last
	next int64 // offset of the next one
	buf  []byte
	long bool // the last line was over the limit
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10)} }

// read gives the next line without its end; it is valid until the next call. Err is io.EOF
// after the last.
func (l *lines) read() ([]byte, error) {
	l.buf, l.long = l.buf[:0], false
	l.at = l.next
	got := false
	for {
		part, err := l.r.ReadSlice('\n')
		got = got || len(part) > 0
		l.next += int64(len(part))
		if !l.long {
			if len(l.buf)+len(part) > maxRecord {
				l.long, l.buf = true, l.buf[:0]
			} else {
				l.buf = append(l.buf, part...)
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && got, err == nil:
			l.n++
			line := bytes.TrimSuffix(bytes.TrimSuffix(l.buf, []byte("\n")), []byte("\r"))
			if l.n == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			return line, nil
		}
		return nil, err
	}
}

// documents gives JSON objects one at a time, with the line where each begins.
type documents interface {
	// next gives the bytes of one document, valid until the next call; otherwise as Reader.
	next() ([]byte, int64, error)
}

// ndjson reads one document from each line.
type ndjson struct{ *lines }

func (d ndjson) next() ([]byte, int64, error) {
	for {
		line, err := d.read()
		switch {
		case err != nil:
			return nil, d.n, err
		case d.long:
			return nil, d.n, problem(d.n, CodeLong, "a line of more than %d bytes", maxRecord)
		case len(bytes.TrimSpace(line)) > 0:
			return line, d.n, nil
		}
	}
}
