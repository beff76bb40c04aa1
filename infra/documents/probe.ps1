# Defib's probe for Windows: looks, changes nothing, takes no parameters, and prints one compact JSON object a line: first when
# the machine booted, then what was found, the worst first. docs/DIAGNOSIS.md explains every check by its id. The exit code is
# always 0: 3010 would make the agent reboot the machine.
$ErrorActionPreference = 'SilentlyContinue'
$ProgressPreference = 'SilentlyContinue'
$now = [DateTime]::UtcNow
# No look begins after this; the document ends the script itself at 60 s.
$deadline = $now.AddSeconds(40)
$recent = (Get-Date).AddMinutes(-30)
$findings = New-Object System.Collections.ArrayList
# An old .NET offers only what AWS no longer takes.
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
$metadata = 'http://169.254.169.254/latest'

# No secret of any kind that we know goes on, and no character that is not printable.
function Protect-Text([string]$Text) {
    $clean = $Text -replace '[^\x20-\x7e]', ' '
    $clean = $clean -replace '(AKIA|ASIA)[A-Z0-9]{12,}', '[removed]'
    $clean = $clean -replace '://[^/@ ]*@', '://[removed]@'
    $clean = $clean -replace '[^/@ ]+:[^/@ ]+@', '[removed]@'
    $clean = $clean -replace '(?i)(authorization["'' ]*[:=]).*', '$1 [removed]'
    $clean = $clean -replace '(?i)\b(bearer|basic) [A-Za-z0-9._~+/=-]{8,}', '$1 [removed]'
    $clean = $clean -replace '(?i)([a-z_-]*(password|passwd|secret|token|api[_-]?key|signature|credential|private[_-]?key)[a-z_-]*["'']?) *[:=] *["'']?[^"'' ,;&]+', '$1=[removed]'
    $clean = $clean -replace '[A-Za-z0-9/+=_-]{64,}', '[removed]'
    if ($clean.Length -gt 400) { $clean = $clean.Substring(0, 400) }
    return $clean
}

function Add-Finding([string]$Check, [string]$Severity, [string]$Evidence) {
    $finding = New-Object PSObject -Property @{ check = $Check; severity = $Severity; evidence = (Protect-Text $Evidence) }
    [void]$findings.Add($finding)
}

function Test-Time { return ([DateTime]::UtcNow -lt $deadline) }

# The answer of a web request with its code; none where nothing answered. Never through a proxy.
function Get-Answer([string]$Url, [string]$Method, [hashtable]$Headers, [int]$Millis) {
    $request = [Net.WebRequest]::Create($Url)
    $request.Method = $Method
    $request.Timeout = $Millis
    $request.ReadWriteTimeout = $Millis
    $request.Proxy = $null
    foreach ($name in $Headers.Keys) { $request.Headers.Add($name, $Headers[$name]) }
    if ($Method -eq 'PUT') { $request.ContentLength = 0 }
    $failure = ''
    try { $response = $request.GetResponse() } catch {
        $inner = $_.Exception.GetBaseException()
        $web = $_.Exception
        while ($web -and -not ($web -is [Net.WebException])) { $web = $web.InnerException }
        if ($web) { $response = $web.Response; $failure = $web.Status.ToString() } else { $failure = $inner.Message }
    }
    if (-not $response) { return New-Object PSObject -Property @{ code = 0; body = ''; date = ''; failure = $failure } }
    $body = ''
    try {
        $reader = New-Object IO.StreamReader($response.GetResponseStream())
        $body = $reader.ReadToEnd()
        $reader.Close()
    } catch { $body = '' }
    $answer = New-Object PSObject -Property @{ code = [int]$response.StatusCode; body = $body; date = $response.Headers['Date']; failure = '' }
    $response.Close()
    return $answer
}

# H21: the line that proves a reboot. Windows has no boot id, so the time of the boot stands alone.
$system = Get-CimInstance -ClassName Win32_OperatingSystem -OperationTimeoutSec 10
if ($system) {
    $booted = $system.LastBootUpTime.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ')
    [ordered]@{ check = 'boot'; booted_at = $booted; boot_id = '' } | ConvertTo-Json -Compress
}

# H01: disks.
$disks = Get-CimInstance -ClassName Win32_LogicalDisk -Filter 'DriveType = 3' -OperationTimeoutSec 10
foreach ($disk in $disks) {
    if ($disk.Size -gt 0) {
        $percent = [math]::Floor(100 * ($disk.Size - $disk.FreeSpace) / $disk.Size)
        $said = "$($disk.DeviceID) is $percent % full, $($disk.FreeSpace) bytes are left"
        if ($percent -ge 97 -and $disk.FreeSpace -lt 5368709120) { Add-Finding 'host.disk-full' 'cause' $said }
        elseif ($percent -ge 90) { Add-Finding 'host.disk-full' 'noise' $said }
    }
}

# H05: memory that is left, and the page file with it.
if ($system -and $system.TotalVisibleMemorySize -gt 0 -and $system.TotalVirtualMemorySize -gt 0) {
    $physical = [math]::Floor(100 * $system.FreePhysicalMemory / $system.TotalVisibleMemorySize)
    $virtual = [math]::Floor(100 * $system.FreeVirtualMemory / $system.TotalVirtualMemorySize)
    $said = "$physical % of memory and $virtual % of memory with the page file are free"
    if ($physical -lt 5 -and $virtual -lt 5) { Add-Finding 'host.out-of-memory' 'cause' $said }
    elseif ($physical -lt 5) { Add-Finding 'host.out-of-memory' 'symptom' $said }
}

# S20: the agent's service, how it starts, as whom, and whether the image was sealed to its end.
$agent = Get-CimInstance -ClassName Win32_Service -Filter "Name='AmazonSSMAgent'" -OperationTimeoutSec 10
if (-not $agent) {
    Add-Finding 'ssm-agent.stopped' 'symptom' 'there is no service AmazonSSMAgent: it is not installed'
} else {
    $said = "AmazonSSMAgent is $($agent.State), starts $($agent.StartMode), as $($agent.StartName), last exit code $($agent.ExitCode)"
    if ($agent.State -eq 'Stop Pending') { Add-Finding 'ssm-agent.hung' 'symptom' $said }
    elseif ($agent.State -ne 'Running' -and $agent.State -ne 'Start Pending') { Add-Finding 'ssm-agent.stopped' 'cause' $said }
    elseif ($agent.StartMode -eq 'Disabled' -or $agent.StartMode -eq 'Manual') { Add-Finding 'ssm-agent.stopped' 'symptom' $said }
    if ($agent.StartName -and $agent.StartName -ne 'LocalSystem') { Add-Finding 'ssm-agent.misconfigured' 'cause' $said }
    if ($agent.State -eq 'Running' -and -not (Get-Process -Name 'ssm-agent-worker')) {
        Add-Finding 'ssm-agent.worker-crash' 'symptom' 'AmazonSSMAgent runs and has no ssm-agent-worker: no credentials yet, or it dies'
    }
}
$busy = @(Get-Process -Name 'ssm-document-worker').Count
if ($busy -ge 5) { Add-Finding 'ssm-agent.workers-exhausted' 'cause' "$busy document workers run, and the agent has no more than five" }
$image = (Get-ItemProperty -Path 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State').ImageState
if ($image -and $image -ne 'IMAGE_STATE_COMPLETE') {
    Add-Finding 'ssm-agent.misconfigured' 'symptom' "the image is not complete (sysprep): ImageState is $image"
}

# C05, C10: docker and the ECS agent, where they are meant to run.
$docker = Get-CimInstance -ClassName Win32_Service -Filter "Name='docker'" -OperationTimeoutSec 10
if ($docker -and $docker.StartMode -ne 'Disabled' -and $docker.State -ne 'Running' -and $docker.State -ne 'Start Pending') {
    Add-Finding 'runtime.docker-down' 'cause' "the service docker is $($docker.State), last exit code $($docker.ExitCode)"
} elseif ($docker -and $docker.State -eq 'Running' -and (Test-Time)) {
    $client = Get-Command -Name 'docker.exe' -CommandType Application | Select-Object -First 1
    if ($client) {
        $job = Start-Job -ArgumentList $client.Path -ScriptBlock { param($path) & $path version 2>&1 | Out-Null }
        if (-not (Wait-Job -Job $job -Timeout 15)) {
            Add-Finding 'runtime.docker-hung' 'cause' 'the service docker runs and does not answer in 15 s'
        }
        Remove-Job -Job $job -Force
    }
}
$ecs = Get-CimInstance -ClassName Win32_Service -Filter "Name='AmazonECS'" -OperationTimeoutSec 10
if ($ecs) {
    $said = "AmazonECS is $($ecs.State), starts $($ecs.StartMode), last exit code $($ecs.ExitCode)"
    if ($ecs.State -eq 'Running') {
        $door = Get-Answer 'http://127.0.0.1:51678/v1/metadata' 'GET' @{} 4000
        if ($door.code -eq 0 -and $door.failure -eq 'Timeout') {
            Add-Finding 'ecs-agent.hung' 'cause' 'AmazonECS runs, and 127.0.0.1:51678 does not answer in 4 s'
        } elseif ($door.code -eq 0) {
            Add-Finding 'ecs-agent.hung' 'symptom' "AmazonECS runs, and 127.0.0.1:51678 does not answer: $($door.failure)"
        }
    } elseif ($ecs.StartMode -eq 'Disabled') {
        Add-Finding 'ecs-agent.stopped' 'noise' $said
    } elseif ($ecs.State -ne 'Start Pending') {
        Add-Finding 'ecs-agent.stopped' 'cause' $said
    }
}

# S09, C20: the metadata service and the role.
$reference = $null
$region = $env:AWS_SSM_REGION_NAME
$token = Get-Answer "$metadata/api/token" 'PUT' @{ 'X-aws-ec2-metadata-token-ttl-seconds' = '60' } 3000
if ($token.code -ne 200) { $token = Get-Answer "$metadata/api/token" 'PUT' @{ 'X-aws-ec2-metadata-token-ttl-seconds' = '60' } 3000 }
if ($token.code -eq 200) {
    $with = @{ 'X-aws-ec2-metadata-token' = $token.body }
    $reference = $token.date
    $answer = Get-Answer "$metadata/meta-data/placement/region" 'GET' $with 3000
    if ($answer.code -eq 200) { $region = $answer.body.Trim() }
    $role = Get-Answer "$metadata/meta-data/iam/security-credentials/" 'GET' $with 3000
    if ($role.code -eq 404) {
        $severity = 'symptom'
        if ($ecs) { $severity = 'cause' }
        Add-Finding 'identity.no-instance-profile' $severity 'the metadata service knows no role: iam/security-credentials/ answers 404'
    }
} elseif (-not (Get-Item -Path "$env:ProgramData\Amazon\SSM\InstanceData\mi-*")) {
    # A machine outside EC2 has none, and needs none.
    $why = $token.failure
    if ($token.code -ne 0) { $why = "HTTP $($token.code): it may be turned off" }
    Add-Finding 'identity.imds-unreachable' 'cause' "no token from 169.254.169.254, tried twice: $why"
}

# S14: the proxy of the services, which are those of the machine.
$key = 'HKLM:\SYSTEM\CurrentControlSet\Services\AmazonSSMAgent'
$environment = @((Get-ItemProperty -Path $key).Environment)
$proxy = ($environment | Where-Object { $_ -match '^http_proxy=(.+)' } | Select-Object -First 1) -replace '^http_proxy=', ''
if (-not $proxy) { $proxy = [Environment]::GetEnvironmentVariable('http_proxy', 'Machine') }
$spared = ($environment | Where-Object { $_ -match '^no_proxy=' } | Select-Object -First 1) -replace '^no_proxy=', ''
if (-not $spared) { $spared = [Environment]::GetEnvironmentVariable('no_proxy', 'Machine') }
if ($proxy -and $spared -notmatch '169\.254\.169\.254|169\.254\.0\.0/16|\*') {
    $severity = 'cause'
    if (Get-Process -Name 'ssm-agent-worker') { $severity = 'symptom' }
    Add-Finding 'network.proxy' $severity "the SSM agent uses the proxy $proxy and its no_proxy lacks 169.254.169.254: $spared"
}

# S12, S15, H13: the endpoints. Behind a proxy of the agent they need not be reachable without it.
$skew = $null
if ($region -match '^[a-z]{2}[a-z-]*-[0-9]$' -and -not $proxy) {
    $domain = 'amazonaws.com'
    if ($region.StartsWith('cn-')) { $domain = 'amazonaws.com.cn' }
    $names = @('ssm', 'ssmmessages')
    if ($ecs) { $names += 'ecs' }
    foreach ($name in $names) {
        if (-not (Test-Time)) { break }
        $server = "$name.$region.$domain"
        $answer = Get-Answer "https://$server/" 'GET' @{} 5000
        if ($answer.code -ne 0) {
            if ($answer.date -and $null -eq $skew) { $skew = ([DateTime]::Parse($answer.date).ToUniversalTime() - [DateTime]::UtcNow).TotalSeconds }
            continue
        }
        switch ($answer.failure) {
            'NameResolutionFailure' { Add-Finding 'network.dns' 'cause' "$server does not resolve" }
            'TrustFailure' { Add-Finding 'network.tls' 'cause' "the certificate of $server is not trusted" }
            'SecureChannelFailure' { Add-Finding 'network.tls' 'cause' "no secure channel to $server" }
            default { Add-Finding 'network.unreachable' 'cause' "$server on 443: $($answer.failure); security group, network ACL, route, NAT or VPC endpoint" }
        }
    }
}

# S15, H15: the clock against what servers say, and the service that keeps it. SigV4 bears five minutes.
if ($null -eq $skew -and $reference) { $skew = ([DateTime]::Parse($reference).ToUniversalTime() - [DateTime]::UtcNow).TotalSeconds }
$keeper = (Get-Service -Name w32time).Status
if ($null -ne $skew) {
    $off = [math]::Round([math]::Abs($skew))
    if ($off -gt 300) { Add-Finding 'clock.skew' 'cause' "the clock is $off s off; w32time is $keeper" }
    elseif ($off -gt 120) { Add-Finding 'clock.skew' 'symptom' "the clock is $off s off; w32time is $keeper" }
}

# S05, C12: services that ended unexpectedly in the last half hour, by the event log of the service manager (7031, 7034).
if (Test-Time) {
    $events = Get-WinEvent -MaxEvents 50 -FilterHashtable @{ LogName = 'System'; ProviderName = 'Service Control Manager'; Id = 7031, 7034; StartTime = $recent }
    foreach ($pair in @(@('Amazon SSM Agent', 'ssm-agent.worker-crash'), @('Amazon ECS', 'ecs-agent.crash-loop'), @('Docker', 'runtime.docker-down'))) {
        $ended = @($events | Where-Object { $_.Message -like "*$($pair[0])*" })
        if ($ended.Count -ge 3) { Add-Finding $pair[1] 'cause' "the service manager saw it end $($ended.Count) times in half an hour: $($ended[0].Message)" }
        elseif ($ended.Count -ge 1) { Add-Finding $pair[1] 'symptom' "the service manager saw it end: $($ended[0].Message)" }
    }
    # H04, H18: disks and hardware.
    $events = Get-WinEvent -MaxEvents 20 -FilterHashtable @{ LogName = 'System'; ProviderName = 'disk', 'Ntfs'; Level = 1, 2; StartTime = $recent }
    if ($events) { Add-Finding 'host.io-stalled' 'symptom' "$(@($events).Count) errors of disks in half an hour: $(@($events)[0].Message)" }
    $events = Get-WinEvent -MaxEvents 5 -FilterHashtable @{ LogName = 'System'; ProviderName = 'Microsoft-Windows-WHEA-Logger'; Level = 1; StartTime = $recent }
    if ($events) { Add-Finding 'platform.hardware' 'cause' "the hardware reported: $(@($events)[0].Message)" }
}

# What explains others goes before them, as in src/diagnose/rank.rs, and no more than a few of them.
$weights = @{ 'cause' = 0; 'symptom' = 100; 'noise' = 200 }
$families = @('identity', 'network', 'clock', 'platform', 'host', 'runtime', 'ecs-agent', 'ssm-agent')
# A clock that is off spoils certificates.
if ($findings | Where-Object { $_.check -eq 'clock.skew' -and $_.severity -eq 'cause' }) {
    foreach ($finding in $findings) { if ($finding.check -eq 'network.tls') { $finding.severity = 'symptom' } }
}
# Silence is not health: only what was looked at, all of it, is well.
if ((Test-Time) -and $system -and $null -ne $skew -and -not ($findings | Where-Object { $_.severity -ne 'noise' })) {
    Add-Finding 'healthy' 'noise' 'all was looked at, and nothing is wrong'
}
# The last words of the agents, for the black box: the last ten lines of each that differ in more than figures, the newest first.
# They lie beside the findings and are none; of a key nothing is kept.
$words = New-Object System.Collections.ArrayList
$scm = @(Get-WinEvent -MaxEvents 400 -FilterHashtable @{ LogName = 'System'; ProviderName = 'Service Control Manager'; StartTime = $booted } | Where-Object { $_.Message -match 'Amazon SSM|Amazon ECS|Docker' } | ForEach-Object { "$($_.TimeCreated.ToString('s')) $($_.Message)" })
[array]::Reverse($scm)
$logs = [ordered]@{ ssm = Get-Content -Tail 400 -Path "$env:ProgramData\Amazon\SSM\Logs\amazon-ssm-agent.log"; ecs = Get-Content -Tail 400 -Path "$env:ProgramData\Amazon\ECS\log\ecs-agent.log"; units = $scm }
foreach ($name in $logs.Keys) {
    $room = 640
    $seen = @{}
    $lines = @($logs[$name])
    [array]::Reverse($lines)
    foreach ($line in $lines) {
        $shape = "$line" -replace '[0-9]', ''
        if (-not $shape.Trim() -or $seen.ContainsKey($shape) -or $line -match '-----(BEGIN|END)|^[A-Za-z0-9+/=]{40,}$') { continue }
        $seen[$shape] = $true
        $said = Protect-Text $line
        if ($said.Length -gt 200) { $said = $said.Substring(0, 200) }
        $room -= $said.Length
        if ($room -lt 0 -or $seen.Count -gt 10) { break }
        [void]$words.Add([ordered]@{ check = 'journal'; severity = 'noise'; evidence = "${name}: $said" })
    }
}

$findings | Sort-Object -Property { $weights[$_.severity] + [array]::IndexOf($families, $_.check.Split('.')[0]) } | Select-Object -First 30 | ForEach-Object {
    [ordered]@{ check = $_.check; severity = $_.severity; evidence = $_.evidence } | ConvertTo-Json -Compress
}
$words | ForEach-Object { $_ | ConvertTo-Json -Compress }
exit 0
