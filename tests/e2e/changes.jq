# SPDX-License-Identifier: Apache-2.0
# What an edit of a manifest changed, whether it has been taken up, and what it did to the bottle's containers.

# "spec.agent.env.*" of ["spec", "agent", "env", "LEVEL"]: the path of a value as the table of fields writes it.
def field_of:
  reduce .[] as $key ("";
    if ($key | type) == "number" then . + "[]"
    elif IN("metadata.labels", "spec.agent.env", "spec.git-gate.repos") then . + ".*"
    elif . == "" then $key
    else . + "." + $key end);

# The fields whose values differ.
def changed_fields($before; $after):
  def values: [paths(scalars) as $p | {key: ($p | tojson), value: getpath($p)}] | from_entries;
  ($before | values) as $b | ($after | values) as $a
  | [($b + $a | keys[]) | select($b[.] != $a[.]) | fromjson | field_of] | unique;

# Of an item of `bottler get`.
def condition($type): .status.conditions[]? | select(.type == $type);
def settled: all(.status.conditions[]; .type != "Reconciling");
def ready: .metadata.generation as $g
  | settled and .status.observedGeneration == $g and (condition("Ready") | .status == "True" and .observedGeneration == $g);

# The edit has been taken up, in the way that is expected; $old is the generation before it.
def taken($expect; $old):
  settled and if $expect == "rejected" then condition("SpecAccepted").status != "True"
  elif .metadata.generation <= $old then false
  elif $expect == "refused" then condition("Ready").reason == "Refused"
  elif $expect == "suspended" then condition("Ready").reason == "Suspended" and condition("Suspended").status == "True"
  else ready end;
# It has been taken back; $at is the generation that it had made, if it made one.
def restored($at; $old): ready and condition("SpecAccepted").status == "True" and (.metadata.generation > $at or $at == $old);

# What became of the container of a name, between two listings, by these steps of the controller.
def fate($before; $after; $steps; $name):
  def of: map(select(.Name == "/" + $name)) | first;
  ($before | of) as $b | ($after | of) as $a
  | [$steps[] | select(.object == $name) | .step] as $done
  | if $b == null or $a == null then "missing"
    elif $b.Id != $a.Id then "replaced"
    elif $b.State.StartedAt != $a.State.StartedAt then "restarted"
    elif $done == [] and $b.HostConfig == $a.HostConfig then "untouched"
    elif ($done | unique) == ["container.update"] and $b.HostConfig != $a.HostConfig then "updated"
    elif ($done | unique) == ["container.reload", "container.upload"] and $b.HostConfig == $a.HostConfig then "reloaded"
    else "had " + ($done | join(", ")) end;

# {agent, egress, pipelock}: whether that is what a change of the class does.
def is_as($class; $sidecar):
  def kept: . == "untouched" or . == "reloaded";
  if $class == "none" then all(.[]; . == "untouched")
  elif $class == "live" then .agent == "updated" and .egress == "untouched" and .pipelock == "untouched"
  elif $class == "reload" then .agent == "untouched" and (.egress | kept) and (.pipelock | kept) and any(.[]; . == "reloaded")
  elif $class == "sidecar" then .agent == "untouched" and .[$sidecar] == "replaced" and all(del(.[$sidecar])[]; kept)
  elif $class == "agent" then .agent == "replaced" and .egress == "untouched" and .pipelock == "untouched"
  else false end;
