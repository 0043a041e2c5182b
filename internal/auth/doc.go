// Package auth is the domain: who a user is, what a session is, what can go
// wrong, and the parameters of every change that a store can make.
//
// It imports the standard library only and does no I/O. Everything else in the
// house depends on it, so a type belongs here when two layers have to agree on
// it, and nowhere else.
//
// Conventions that hold for every type in this package:
//
//   - A zero time.Time means "not set" and is stored as NULL. Times are UTC with
//     microsecond precision (see [Truncate]), which both databases keep exactly.
//   - An empty string in an optional text field means "not set".
//   - JSON documents are raw bytes. They are parsed only where a rule needs to
//     look inside, so that reading a user does not cost two JSON passes.
package auth
