// Reads OCSP answers as a Go program does: golang.org/x/crypto/ocsp of Debian's
// golang-golang-x-crypto-dev.
//
//	ocsp LEAF ISSUER ANSWER...    files of DER
//
// Prints "good", "revoked REASON" or "unknown" for each answer that is the
// issuer's about the leaf; what is wrong with the others.
package main

import (
	"crypto/x509"
	"fmt"
	"os"

	"golang.org/x/crypto/ocsp"
)

func read(path string) []byte {
	bytes, err := os.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	return bytes
}

func certificate(path string) *x509.Certificate {
	c, err := x509.ParseCertificate(read(path))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	return c
}

func main() {
	leaf, issuer := certificate(os.Args[1]), certificate(os.Args[2])
	for _, path := range os.Args[3:] {
		answer, err := ocsp.ParseResponseForCert(read(path), leaf, issuer)
		switch {
		case err != nil:
			fmt.Println(err)
		case answer.Status == ocsp.Good:
			fmt.Println("good")
		case answer.Status == ocsp.Revoked:
			fmt.Println("revoked", answer.RevocationReason)
		default:
			fmt.Println("unknown")
		}
	}
}
