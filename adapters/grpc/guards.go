package cardeagrpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
)

// Guards says which guard a method has: the one of its own, else that of its service, else
// Default. A method without any is refused.
type Guards struct {
	// Methods has full names as keys, as in grpc.UnaryServerInfo: "/package.Service/Method",
	// or "/package.Service/" for all methods of a service.
	Methods map[string]Guard
	// Default is for the methods that are not in Methods, and for grpc.UnknownServiceHandler.
	Default Guard
}

// ServerOptions gives the options that put the guards in front of all methods, unary and
// streaming. Interceptors that were given to the server before run before the guards. A
// key that could never be a method is a programming error: ServerOptions panics. Later
// changes to Methods have no effect.
func (g Guards) ServerOptions() []grpc.ServerOption {
	for name := range g.Methods {
		if service, method, ok := split(name); !ok || service == "" || strings.Contains(method, "/") {
			panic(fmt.Sprintf("cardeagrpc: %q is neither /package.Service/Method nor /package.Service/", name))
		}
	}
	g.Methods = maps.Clone(g.Methods)
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(g.UnaryInterceptor),
		grpc.ChainStreamInterceptor(g.StreamInterceptor),
	}
}

// Check compares the guards with the services of a server (grpc.Server.GetServiceInfo):
// each method has a guard, and no guard has a name that is misspelt and therefore protects
// nothing. Call it before the server serves. The error lists every problem.
func (g Guards) Check(services map[string]grpc.ServiceInfo) error {
	known := map[string]bool{}
	var problems []error
	for service, info := range services {
		known["/"+service+"/"] = true
		for _, method := range info.Methods {
			name := "/" + service + "/" + method.Name
			known[name] = true
			if g.find(name).verifier == nil {
				problems = append(problems, fmt.Errorf("%s has no guard", name))
			}
		}
	}
	for name := range g.Methods {
		if !known[name] {
			problems = append(problems, fmt.Errorf("%s is guarded but does not exist", name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return fmt.Errorf("cardeagrpc: %w", errors.Join(problems...))
}

func (g Guards) find(method string) Guard {
	if guard, ok := g.Methods[method]; ok {
		return guard
	}
	service, _, ok := split(method)
	if !ok {
		// A server that takes "Service/Method" for "/Service/Method" would run the method
		// behind the wrong guard.
		return Guard{}
	}
	if guard, ok := g.Methods["/"+service+"/"]; ok {
		return guard
	}
	return g.Default
}

// split takes a full name apart. The method is what follows the last slash, as the server
// does it.
func split(name string) (service, method string, ok bool) {
	rest, ok := strings.CutPrefix(name, "/")
	if !ok {
		return "", "", false
	}
	at := strings.LastIndex(rest, "/")
	if at < 0 {
		return "", "", false
	}
	return rest[:at], rest[at+1:], true
}

// UnaryInterceptor is what ServerOptions puts in front of unary methods, for a server whose
// interceptors need another order. It implements grpc.UnaryServerInterceptor. A server
// needs both.
func (g Guards) UnaryInterceptor(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := g.find(info.FullMethod).admit(ctx, info.FullMethod, req)
	if err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

// StreamInterceptor is what ServerOptions puts in front of streams. It implements
// grpc.StreamServerInterceptor.
func (g Guards) StreamInterceptor(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := g.find(info.FullMethod).admit(s.Context(), info.FullMethod, nil)
	if err != nil {
		return err
	}
	return handler(srv, stream{s, ctx})
}
