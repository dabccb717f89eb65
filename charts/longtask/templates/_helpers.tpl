{{/* Prefix of the names of the release's objects: "longtask", or the release's name with "longtask" in it. */}}
{{- define "longtask.fullname" -}}
{{- if contains "longtask" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-longtask{{ end }}
{{- end }}

{{/* Suffix that keeps cluster-scoped objects of releases in different namespaces apart. */}}
{{- define "longtask.clusterSuffix" -}}
.{{ .Release.Namespace }}
{{- end }}

{{- define "longtask.taskNamespace" -}}
{{- if eq .Values.taskNamespace.name .Release.Namespace }}
{{- fail (printf "taskNamespace.name is %q, the namespace of the release itself: whoever may create templates there could run pods with the operator's service account. Choose another name." .Release.Namespace) }}
{{- end }}
{{- .Values.taskNamespace.name }}
{{- end }}

{{/*
Refuses an upgrade that would leave the namespace where the installed operator works: the rights and policies there would
go, and with them its running tasks. Only an upgrade asks the cluster, for a Deployment that Helm reads then in any case;
`helm template`, a first install and a dry run on the client have no answer, and pass.
*/}}
{{- define "longtask.refuseMove" -}}
{{- if .Release.IsUpgrade }}
{{- $found := lookup "apps/v1" "Deployment" .Release.Namespace (printf "%s-operator" (include "longtask.fullname" .)) }}
{{- range (dig "spec" "template" "spec" "containers" list $found) }}
{{- range .env }}
{{- if and (eq .name "LONGTASK_OPERATOR_NAMESPACE") (not (has .value (list $.Values.taskNamespace.name $.Values.taskNamespace.moveFrom))) }}
{{- fail (printf "taskNamespace.name is %q, but the installed release works in %q: this upgrade would take all rights and policies away there, and running tasks would fail. Pass the values of the install again (--set taskNamespace.name=%s, or --reset-then-reuse-values). To move it, when no task runs there any more, add --set taskNamespace.moveFrom=%s." $.Values.taskNamespace.name .value .value .value) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels of every object. Takes a list of the root context and the component. */}}
{{- define "longtask.labels" -}}
{{- $root := first . -}}
{{ include "longtask.selector" . }}
app.kubernetes.io/part-of: longtask
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* Labels that select the pods of a component, and nothing else. */}}
{{- define "longtask.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: longtask
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* Name of the Secret with the keys by which the MCP server's replicas resume calls. */}}
{{- define "longtask.resumeKeys" -}}
{{- .Values.mcp.resumeKeys.existingSecret | default (printf "%s-mcp-resume-keys" (include "longtask.fullname" .)) }}
{{- end }}

{{- define "longtask.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion }}
{{- /* A number of YAML or --set: 20261129 would be written 2.0261129e+07. */}}
{{- if kindIs "float64" $tag }}{{ if eq (floor $tag) $tag }}{{ $tag = int64 $tag }}{{ end }}{{ end -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ $tag }}{{ end }}
{{- end }}

{{- define "longtask.mcpAccount" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "longtask.fullname" . }}-mcp
{{- end }}

{{- define "longtask.taskApiURL" -}}
http://{{ include "longtask.fullname" . }}-task-api.{{ .Release.Namespace }}.svc:8082
{{- end }}

{{/* The operator's variables that name the bucket, where there is one. */}}
{{- define "longtask.bucket" -}}
{{- if .Values.operator.store.s3.bucket }}
{{- if not .Values.operator.store.s3.region }}
{{- fail (printf "operator.store.s3.bucket is %q and operator.store.s3.region is empty: name the bucket's region. Stores without regions mostly take us-east-1." .Values.operator.store.s3.bucket) }}
{{- end -}}
- name: LONGTASK_OPERATOR_STORE_S3_BUCKET
  value: {{ .Values.operator.store.s3.bucket | quote }}
- name: LONGTASK_OPERATOR_STORE_S3_PREFIX
  value: {{ .Values.operator.store.s3.prefix | quote }}
- name: LONGTASK_OPERATOR_STORE_S3_REGION
  value: {{ .Values.operator.store.s3.region | quote }}
{{- with .Values.operator.store.s3.endpointURL }}
- name: LONGTASK_OPERATOR_STORE_S3_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
- name: LONGTASK_OPERATOR_STORE_S3_PATH_STYLE
  value: {{ .Values.operator.store.s3.pathStyle | quote }}
{{- end }}
{{- end }}

{{/* The operator's variables that name the agents' memories, where there are some. */}}
{{- define "longtask.memories" -}}
{{- if and .Values.memory.memoryIds (not .Values.memory.region) }}
{{- fail (printf "memory.memoryIds has %q and memory.region is empty: name the AWS region of the memories. There is no default." (first .Values.memory.memoryIds)) }}
{{- end -}}
{{- if .Values.memory.memoryIds -}}
- name: LONGTASK_OPERATOR_MEMORY_REGION
  value: {{ .Values.memory.region | quote }}
- name: LONGTASK_OPERATOR_MEMORY_IDS
  value: {{ .Values.memory.memoryIds | toJson | quote }}
{{- with .Values.memory.endpointURL }}
- name: AWS_ENDPOINT_URL_BEDROCK_AGENTCORE
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The MCP server's variables that say where the end of a task may be told, and who says it. */}}
{{- define "longtask.conversations" -}}
- name: LONGTASK_MCP_TRUSTED_PRINCIPALS
  value: {{ .Values.mcp.trustedPrincipals | toJson | quote }}
- name: LONGTASK_MCP_MEMORY_IDS
  value: {{ .Values.memory.memoryIds | toJson | quote }}
{{- with .Values.memory.defaultMemoryId }}
{{- if not (has . $.Values.memory.memoryIds) }}
{{- fail (printf "memory.defaultMemoryId is %q and is not one of memory.memoryIds: list it there, written the same way." .) }}
{{- end }}
- name: LONGTASK_MCP_DEFAULT_MEMORY_ID
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* The MCP server's variables about callers from outside the cluster, where there are some. */}}
{{- define "longtask.publicUrl" -}}
{{- with .Values.mcp.publicUrl -}}
- name: LONGTASK_MCP_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mcp.authentication.jwt }}
{{- if not $.Values.mcp.publicUrl }}
{{- fail "mcp.publicUrl is empty: mcp.authentication.jwt needs the URL that clients use, such as https://longtask.example.com/mcp." }}
{{- end }}
- name: LONGTASK_MCP_JWT_ISSUERS
  value: {{ . | toJson | quote }}
{{- end }}
{{- end }}

{{/* Host of mcp.publicUrl, for a route to the paths that the MCP server has. Takes the root context. */}}
{{- define "longtask.publicHost" -}}
{{- $url := urlParse .Values.mcp.publicUrl }}
{{- if ne (trimSuffix "/" $url.path) "/mcp" }}
{{- fail (printf "mcp.publicUrl is %q: mcp.ingress and mcp.httpRoute need the URL that clients use, and its path must be /mcp, such as https://longtask.example.com/mcp." .Values.mcp.publicUrl) }}
{{- end }}
{{- regexReplaceAll ":[0-9]+$" $url.host "" }}
{{- end }}

{{/* Paths of the MCP server that clients outside the cluster need, as a JSON list. */}}
{{- define "longtask.publicPaths" -}}
{{- ternary (list "/mcp" "/.well-known/oauth-protected-resource") (list "/mcp") (not (empty .Values.mcp.authentication.jwt)) | toJson }}
{{- end }}

{{/* Port of the MCP server's Service. */}}
{{- define "longtask.mcpPort" -}}
{{- ternary 443 80 (not (empty .Values.mcp.tls.secretName)) }}
{{- end }}

{{/* Pod Security "restricted", for a pod and for a container. */}}
{{- define "longtask.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "longtask.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "longtask.imagePullSecrets" -}}
{{- with concat .Values.image.pullSecrets ((.Values.global).imagePullSecrets | default list) -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name") | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where and beside whom the pods of a component run. Takes a list of the root context and the component. */}}
{{- define "longtask.scheduling" -}}
{{- $root := first . -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "longtask.selector" . | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- with $root.Values.pods.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $root.Values.pods.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.pods.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.pods.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Labels and annotations of the pods of a component. Takes a list of the root context and the component. */}}
{{- define "longtask.podMetadata" -}}
{{- $root := first . -}}
labels:
  {{- include "longtask.labels" . | nindent 2 }}
  {{- with $root.Values.pods.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $root.Values.pods.annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Both servers answer /healthz and /readyz on their port "health". A busy node may take minutes to start a process, and
seconds to answer: neither is a reason to kill one that would get there.
*/}}
{{- define "longtask.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end }}
