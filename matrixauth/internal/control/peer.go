package control

import (
	"context"
	"net"
	"os"
	"strconv"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

type peerKey struct{}

// withPeer attaches to the context of a connection who is at its other end, where the system tells that.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, known, err := place.Peer(unix)
	if err != nil || !known {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, model.Operator(strconv.Itoa(uid), place.UserName(uid)))
}

func peer(ctx context.Context) model.Actor {
	if by, ok := ctx.Value(peerKey{}).(model.Actor); ok {
		return by
	}
	return model.Operator("", "unknown")
}

// Self returns who runs this process. It is to be asked before the process goes on as somebody else.
func Self() model.Actor {
	return model.Operator(strconv.Itoa(os.Getuid()), place.UserName(os.Getuid()))
}
