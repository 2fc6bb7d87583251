// Verifies certificates and revocation lists as a Go program does, strictly: it
// parses what OpenSSL may forgive.  Debian's Go, standard library only.
//
//	verify DIR    reads DIR/cases.json, a list of {leaf, chain, root, crl, names,
//	              revoked}: files of DER in DIR, chain from the leaf's CA to
//	              below the root, crl "" for none
//
// Prints one line for each fault; nothing when all is well.
package main

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

type testCase struct {
	Leaf, Root, Crl string
	Chain, Names    []string
	Revoked         bool
}

func read(dir, name string) *x509.Certificate {
	der, err := os.ReadFile(filepath.Join(dir, name))
	if err == nil {
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(der); err == nil {
			return c
		}
	}
	fmt.Printf("%s: %v\n", name, err)
	os.Exit(1)
	return nil
}

func checkList(dir string, leaf, ca *x509.Certificate, c testCase) error {
	der, err := os.ReadFile(filepath.Join(dir, c.Crl))
	if err != nil {
		return err
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Crl, err)
	}
	if err = list.CheckSignatureFrom(ca); err != nil {
		return fmt.Errorf("%s: %w", c.Crl, err)
	}
	found := false
	for _, r := range list.RevokedCertificates {
		found = found || r.SerialNumber.Cmp(leaf.SerialNumber) == 0
	}
	if found != c.Revoked {
		return fmt.Errorf("%s: revoked there: %v, expected: %v", c.Crl, found, c.Revoked)
	}
	return nil
}

func check(dir string, c testCase) error {
	leaf, root := read(dir, c.Leaf), read(dir, c.Root)
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		KeyUsages: leaf.ExtKeyUsage}
	options.Roots.AddCert(root)
	ca := root
	for i, name := range c.Chain {
		between := read(dir, name)
		options.Intermediates.AddCert(between)
		if i == 0 {
			ca = between
		}
	}
	if _, err := leaf.Verify(options); err != nil {
		return err
	}
	if err := leaf.CheckSignatureFrom(ca); err != nil {
		return err
	}
	if len(leaf.UnhandledCriticalExtensions) > 0 {
		return fmt.Errorf("critical and not known: %v", leaf.UnhandledCriticalExtensions)
	}
	for _, name := range c.Names {
		if err := leaf.VerifyHostname(name); err != nil {
			return err
		}
	}
	if c.Crl == "" {
		return nil
	}
	return checkList(dir, leaf, ca, c)
}

func main() {
	dir := os.Args[1]
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var cases []testCase
	if err = json.Unmarshal(text, &cases); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, c := range cases {
		if err = check(dir, c); err != nil {
			fmt.Printf("%s: %v\n", c.Leaf, err)
		}
	}
}
