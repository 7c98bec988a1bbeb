//go:build tools

// Flux's kustomize-controller, which takes a cluster over from kled and gives it back.
package tools

import (
	_ "github.com/fluxcd/kustomize-controller"
	_ "github.com/fluxcd/source-controller/api/v1"
)
