# Defib's gentle remedies for Windows. The action is one of four words that the document allows; nothing else comes in.
# docs/REPAIRS.md tells what each of them does to a host, and what it leaves alone.
#
# The exit code is 0, 1 where it did not work, or a refusal that Defib knows by its number, as on Linux: 11 nothing here to repair,
# 12 disabled by a person, 13 docker does not answer, 14 another repair runs, 15 still full, 16 it ended with exit code 5 again. The
# reason stands in the last line. 3010 would make the agent reboot the machine.
$ErrorActionPreference = 'Stop'
$action = '{{ Action }}'
$own = Join-Path $env:ProgramData 'Defib'
$mark = Join-Path $own 'ssm-agent-restart'

function Stop-WithRefusal([int]$Code, [string]$Reason) {
    Write-Output $Reason
    exit $Code
}

function Get-Start([string]$Name) {
    (Get-CimInstance -ClassName Win32_Service -Filter "Name='$Name'")
}

# On Windows a service that is disabled cannot be started at all, so it is what a masked unit is on Linux; one that is only started by
# hand is what a disabled unit is.
function Enable-Service([string]$Name) {
    $service = Get-Start $Name
    if (-not $service) { Stop-WithRefusal 11 "there is no service ${Name}: nothing was done" }
    if ($service.StartMode -eq 'Disabled') {
        Stop-WithRefusal 12 "$Name is disabled, which only a person does: nothing was done. To undo it: Set-Service $Name -StartupType Automatic"
    }
    Write-Output "$Name before: $($service.State), exit code $($service.ExitCode), process $($service.ProcessId)"
    if ($service.StartMode -eq 'Manual') {
        Set-Service -Name $Name -StartupType Automatic
        Write-Output "$Name was not started with the machine: it is enabled, and will be there after the next boot"
    }
}

# Stops a service politely for so many seconds; then its process is ended.
function Stop-InTime([string]$Name, [int]$Secs) {
    $id = (Get-Start $Name).ProcessId
    & sc.exe stop $Name | Out-Null
    try {
        (Get-Service -Name $Name).WaitForStatus('Stopped', [TimeSpan]::FromSeconds($Secs))
    } catch {
        if ($id -gt 0) { Stop-Process -Id $id -Force -ErrorAction SilentlyContinue }
        Write-Output "$Name did not stop in $Secs s: its process was ended"
        Start-Sleep -Seconds 2
    }
}

# Starts the ECS agent, and tells what became of it.
function Start-EcsAgent([string]$What) {
    Start-Service -Name AmazonECS
    Start-Sleep -Seconds 6
    $service = Get-Start 'AmazonECS'
    if ($service.State -eq 'Running' -or $service.State -eq 'Start Pending') {
        Write-Output "AmazonECS after: $($service.State), process $($service.ProcessId); $What"
        return
    }
    if ($service.ExitCode -eq 5 -or $service.ServiceSpecificExitCode -eq 5) {
        Stop-WithRefusal 16 'AmazonECS ended with exit code 5 again: no restart helps, its log says why'
    }
    Stop-WithRefusal 1 "AmazonECS was started and ended again: exit code $($service.ExitCode)"
}

# Out of band: an agent that restarts itself in the middle of a command loses the command's answer.
function Start-Detached([string]$Work) {
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($Work))
    $line = "powershell.exe -NoProfile -NonInteractive -EncodedCommand $encoded"
    $made = Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments @{ CommandLine = $line }
    if ($made.ReturnValue -ne 0) { Stop-WithRefusal 1 "the restart could not be scheduled: code $($made.ReturnValue)" }
}

# Deletes what was last written longer ago than that, and tells what it gave.
function Remove-Old([string]$What, [string[]]$Paths, [datetime]$Before) {
    $had = (Get-PSDrive -Name $env:SystemDrive.TrimEnd(':')).Free
    Get-Item -Path $Paths -ErrorAction SilentlyContinue | Where-Object { $_.LastWriteTime -lt $Before } |
        Remove-Item -Recurse -Force -ErrorAction SilentlyContinue
    $gave = [Math]::Max(0, (Get-PSDrive -Name $env:SystemDrive.TrimEnd(':')).Free - $had)
    Write-Output "${What}: $([Math]::Floor($gave / 1024)) KiB"
}

function Get-UsedPercent {
    $drive = Get-PSDrive -Name $env:SystemDrive.TrimEnd(':')
    100 * $drive.Used / ($drive.Used + $drive.Free)
}

# The processor time of each document worker and of all that it started, in ms, and how many those are.
function Get-WorkerUse([int[]]$Workers) {
    $all = Get-CimInstance -ClassName Win32_Process
    foreach ($worker in $Workers) {
        $family = @($worker)
        do {
            $count = $family.Count
            $family = @($family) + @($all | Where-Object { $_.ParentProcessId -in $family -and $_.ProcessId -notin $family } |
                ForEach-Object { [int]$_.ProcessId })
        } while ($family.Count -gt $count)
        $used = ($all | Where-Object { $_.ProcessId -in $family } |
            ForEach-Object { ($_.KernelModeTime + $_.UserModeTime) / 10000 } | Measure-Object -Sum).Sum
        [pscustomobject]@{ Id = $worker; Used = $used; Count = $family.Count; Own = ($PID -in $family) }
    }
}

# The agent runs five commands at once. Where all five places are taken, those that did nothing for ten seconds are given up.
function Clear-StuckWorker {
    $workers = @(Get-Process -Name 'ssm-document-worker' -ErrorAction SilentlyContinue | ForEach-Object { $_.Id })
    if ($workers.Count -lt 5) { return }
    $first = @(Get-WorkerUse $workers)
    Start-Sleep -Seconds 10
    $stuck = @(Get-WorkerUse $workers | Where-Object {
            $now = $_
            $then = $first | Where-Object { $_.Id -eq $now.Id }
            -not $now.Own -and $now.Count -eq $then.Count -and $now.Used - $then.Used -lt 100
        } | Select-Object -First 5)
    foreach ($one in $stuck) { Stop-Process -Id $one.Id -Force -ErrorAction SilentlyContinue }
    Write-Output "$($workers.Count) document workers ran and the agent has no more than five: $($stuck.Count) of them did nothing for 10 s and were ended; what they had started goes on"
}

$mutex = New-Object System.Threading.Mutex($false, 'Global\DefibRepair')
try {
    try { $free = $mutex.WaitOne(0) } catch [System.Threading.AbandonedMutexException] { $free = $true }
    if (-not $free) { Stop-WithRefusal 14 'another repair of this host is running: nothing was done' }
    switch ($action) {
        'free-disk' {
            $free = (Get-PSDrive -Name $env:SystemDrive.TrimEnd(':')).Free
            $commands = "$env:ProgramData\Amazon\SSM\InstanceData\*\document\orchestration\*"
            $logs = "$env:ProgramData\Amazon\SSM\Logs\*.log.*", "$env:ProgramData\Amazon\ECS\log\*.log.*"
            # A day's worth is kept, unless that is what fills the disk.
            foreach ($hours in 24, 1) {
                $before = (Get-Date).AddHours(-$hours)
                Remove-Old "logs rotated more than $hours h ago" $logs $before
                # A command that runs may have begun long ago: then nobody's output is taken.
                $running = Get-ChildItem -Path "$env:ProgramData\Amazon\SSM\InstanceData\*\document\state\current\*" -ErrorAction SilentlyContinue
                if ($hours -eq 24 -and @($running).Count -le 1) { Remove-Old "output of commands of more than $hours h ago" @($commands) $before }
                if ((Get-UsedPercent) -lt 97) { break }
            }
            Write-Output "free on ${env:SystemDrive}: $free bytes before, $((Get-PSDrive -Name $env:SystemDrive.TrimEnd(':')).Free) bytes after"
            if ((Get-UsedPercent) -ge 97) { Stop-WithRefusal 15 "still full: what is left may be somebody's data" }
        }
        'restart-ssm-agent' {
            $boot = (Get-CimInstance -ClassName Win32_OperatingSystem).LastBootUpTime
            $last = Get-Item -Path $mark -ErrorAction SilentlyContinue
            # An agent that starts takes up the commands that it had not ended, and this may be one of them.
            if ($last -and $last.LastWriteTime -gt $boot -and $last.LastWriteTime -gt (Get-Date).AddMinutes(-2)) {
                Write-Output 'AmazonSSMAgent was restarted a moment ago: it is not restarted again'
                break
            }
            Enable-Service AmazonSSMAgent
            Clear-StuckWorker
            New-Item -ItemType Directory -Path $own -Force | Out-Null
            Set-Content -Path $mark -Value 'by Defib'
            # 30 s to stop politely, then it is ended, as on Linux.
            Start-Detached @'
Start-Sleep -Seconds 10
$id = (Get-CimInstance -ClassName Win32_Service -Filter "Name='AmazonSSMAgent'").ProcessId
& sc.exe stop AmazonSSMAgent | Out-Null
try { (Get-Service -Name AmazonSSMAgent).WaitForStatus('Stopped', '00:00:30') } catch { Stop-Process -Id $id -Force }
Start-Sleep -Seconds 2
Start-Service -Name AmazonSSMAgent
'@
            Write-Output 'a process of its own restarts AmazonSSMAgent in 10 s'
        }
        'restart-ecs-agent' {
            Enable-Service AmazonECS
            $runtime = Get-Service -Name docker -ErrorAction SilentlyContinue
            if (-not $runtime -or $runtime.Status -ne 'Running') {
                Stop-WithRefusal 13 'docker does not run: the ECS agent was not restarted'
            }
            $asked = Start-Process -FilePath docker -ArgumentList version -PassThru -WindowStyle Hidden
            if (-not $asked.WaitForExit(15000)) {
                $asked.Kill()
                Stop-WithRefusal 13 'docker does not answer: the ECS agent was not restarted'
            }
            if ($asked.ExitCode -ne 0) { Stop-WithRefusal 13 'docker answers with an error: the ECS agent was not restarted' }
            Stop-InTime AmazonECS 30
            Start-EcsAgent 'its tasks keep running'
        }
        'restart-runtime' {
            Enable-Service docker
            Stop-InTime docker 60
            Start-Service -Name docker
            Start-Sleep -Seconds 5
            $after = (Get-Service -Name docker).Status
            Write-Output "docker after: $after"
            if ($after -ne 'Running') { Stop-WithRefusal 1 'docker did not stay up' }
            # A service that depends on docker stops with it and is not started with it.
            $agent = Get-Start AmazonECS
            if ($agent -and $agent.StartMode -eq 'Auto') { Start-EcsAgent 'it started after docker' }
        }
        default { Stop-WithRefusal 1 'no such action: nothing was done' }
    }
} catch {
    Stop-WithRefusal 1 "it did not work: $($_.Exception.Message)"
}
exit 0
