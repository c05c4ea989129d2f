// Command ociregistry serves an in-memory OCI registry that has the referrers API.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "loopback address and port to listen on")
	flag.Parse()
	// It has no login, so nothing but this machine may reach it.
	if address, err := net.ResolveTCPAddr("tcp", *listen); err != nil || !address.IP.IsLoopback() {
		log.Fatalf("ociregistry: -listen %q is not a loopback address", *listen)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, ociserver.New(ocimem.New(), nil)))
}
