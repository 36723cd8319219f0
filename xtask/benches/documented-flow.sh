#!/usr/bin/env bash
# The flow that this tool replaces, as its documents have it: log in, build, tag, push, and perhaps update the function.
#
# usage: documented-flow.sh build|push|deploy REGISTRY PROJECT REPOSITORY SERVICE…
#   build    only the cached build of each service, into an OCI image layout: what no flow can be faster than
#   push     log in once; build, tag and push each service
#   deploy   the same, and each service's Lambda function gets the image
set -euo pipefail

what=$1 registry=$2 project=$3 repository=$4
shift 4
sha=$(git rev-parse --short=7 HEAD)
timestamp=$(date -u +%Y%m%d-%H%M%S)
arch=arm64

if [ "$what" != build ]; then
  aws ecr get-login-password | docker login --username AWS --password-stdin "$registry"
fi

for service in "$@"; do
  context=services/$service
  if [ "$what" = build ]; then
    docker buildx build --platform "linux/$arch" --provenance=false --label "revision=$sha" \
      --output "type=oci,dest=target/layout-$service,tar=false" "$context"
    continue
  fi
  local_name=$project:$service-$arch-latest
  docker buildx build --platform "linux/$arch" --provenance=false --label "revision=$sha" --load --tag "$local_name" "$context"
  for tag in "dev-$timestamp-$arch" "dev-$timestamp" "$sha-$arch" "$sha" "dev-$arch-latest" dev-latest; do
    docker tag "$local_name" "$registry/$repository:$service-$tag"
    docker push "$registry/$repository:$service-$tag"
  done
  if [ "$what" = deploy ]; then
    aws lambda update-function-code --function-name "$repository-dev-$service" --architectures "$arch" \
      --image-uri "$registry/$repository:$service-dev-latest"
    aws lambda wait function-updated-v2 --function-name "$repository-dev-$service"
  fi
done
