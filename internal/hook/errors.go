package hook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Refusal is the no of a hook. It is the cause of an [auth.Error] with CodeHookRefused;
// status and message are meant for whoever made the request.
type Refusal struct {
	Status  int // HTTP status, 400 to 599
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("the hook refuses with status %d", r.Status) }

// IsPermanent tells a delivery job that trying again can't help.
func (r *Refusal) IsPermanent() bool {
	return r.Status < 500 && r.Status != http.StatusTooManyRequests && r.Status != http.StatusRequestTimeout
}

// RefusalOf finds the no of a hook in an error; nil if there is none.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// maxMessage bounds a sentence of the application, in bytes.
const maxMessage = 2000

func refused(status int, message string) error {
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError // GoTrue's default; a refusal must never look like success
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	return &auth.Error{Code: auth.CodeHookRefused, Message: message, Cause: &Refusal{status, message}}
}

func timedOut(limit time.Duration, cause error) error {
	return &auth.Error{
		Code: auth.CodeHookTimeout, Cause: cause,
		Message: fmt.Sprintf("Failed to reach hook within maximum time of %f seconds", limit.Seconds()),
	}
}

func outOfTries(cause error) error {
	return &auth.Error{Code: auth.CodeHookTimeoutAfterRetry, Message: "Failed to reach hook after maximum retries", Cause: cause}
}

func tooLong() error {
	return &auth.Error{
		Code: auth.CodeHookAnswerTooLarge, Message: fmt.Sprintf("Payload size exceeded size limit of %d bytes", maxAnswer),
	}
}

func wrongType(message string) error {
	return &auth.Error{Code: auth.CodeHookContentType, Message: message}
}

// broken is a hook that can't be used as it is: the operator has to look.
func broken(message string, cause error) error {
	return &auth.Error{Code: auth.CodeInternal, Message: message, Cause: cause}
}
