// Package usersync mirrors the users of an issuer into a service's own database: a row and
// a profile for everybody who comes with a verified token, made once however many requests
// come first, so that the service can join its data with its users and need not ask anybody.
//
// The rules stand alone: [Decide] says what is to happen from what the issuer vouches for
// and the rows that are there. It does no I/O.
package usersync
