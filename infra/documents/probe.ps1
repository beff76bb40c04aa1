# Defib's probe for Windows: looks, changes nothing, and prints one compact JSON object a line, worst first.
# It takes no parameters.
$ErrorActionPreference = 'SilentlyContinue'

function Write-Finding([string]$Check, [string]$Severity, [string]$Evidence) {
    $clean = ($Evidence -replace '[^\x20-\x7e]', '')
    if ($clean.Length -gt 400) { $clean = $clean.Substring(0, 400) }
    [ordered]@{ check = $Check; severity = $Severity; evidence = $clean } | ConvertTo-Json -Compress
}

# The line that proves a reboot. Windows has no boot id, so the time of the boot stands alone.
$system = Get-CimInstance -ClassName Win32_OperatingSystem -OperationTimeoutSec 10
if ($system) {
    $booted = $system.LastBootUpTime.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ')
    [ordered]@{ check = 'boot'; booted_at = $booted; boot_id = '' } | ConvertTo-Json -Compress
}

$disks = Get-CimInstance -ClassName Win32_LogicalDisk -Filter 'DriveType = 3' -OperationTimeoutSec 10
foreach ($disk in $disks) {
    if ($disk.Size -gt 0) {
        $percent = [math]::Floor(100 * ($disk.Size - $disk.FreeSpace) / $disk.Size)
        if ($percent -ge 98) { Write-Finding 'host.disk-full' 'cause' "$($disk.DeviceID) is $percent % full" }
    }
}

$runtime = Get-Service -Name docker
if ($runtime -and $runtime.Status -ne 'Running') {
    Write-Finding 'runtime.docker-down' 'cause' "the service docker is $($runtime.Status)"
}
$ecs = Get-Service -Name AmazonECS
if ($ecs -and $ecs.Status -ne 'Running') {
    Write-Finding 'ecs-agent.stopped' 'cause' "the service AmazonECS is $($ecs.Status)"
}
# The probe itself came through the agent, so a service that is not running is one that is about to change.
$ssm = Get-Service -Name AmazonSSMAgent
if ($ssm -and $ssm.Status -ne 'Running') {
    Write-Finding 'ssm-agent.stopped' 'symptom' "the service AmazonSSMAgent is $($ssm.Status)"
}
exit 0
