module github.com/cardea-auth/cardea/adapters/connect

go 1.26.0

require (
	connectrpc.com/connect v1.21.1
	github.com/cardea-auth/cardea v0.0.0-00010101000000-000000000000
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261019180522-ce908d29299b
	google.golang.org/protobuf v1.36.12
)

require github.com/golang-jwt/jwt/v5 v5.3.1

replace github.com/cardea-auth/cardea => ../..
