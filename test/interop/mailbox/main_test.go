package main

import (
	"strings"
	"testing"
)

// TestParse: both parts of a mail, decoded.
func TestParse(t *testing.T) {
	t.Parallel()
	m, err := parse(strings.NewReader(strings.ReplaceAll(`From: a@x.org
To: b@x.org
Message-ID: <1@x.org>
Subject: =?UTF-8?q?Gr=C3=BC=C3=9Fe?=
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

Code =C3=A4 123=
456
--b
Content-Type: text/html; charset=UTF-8

<p>x</p>
--b--
`, "\n", "\r\n")))
	if err != nil || m.Subject != "Grüße" || !strings.Contains(m.Text, "Code ä 123456") || !strings.Contains(m.HTML, "<p>x</p>") || m.ID != "<1@x.org>" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := parse(strings.NewReader("Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==")); err == nil {
		t.Error("an encoding that is not expected was taken")
	}
}
