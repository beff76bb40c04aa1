# Defib's gentle remedies for Windows. The action is one of four words that the document allows; nothing else comes in.
# The exit code is 0, or 1 with the reason in the last line: 3010 would make the agent reboot the machine.
$ErrorActionPreference = 'Stop'
$action = '{{ Action }}'

function Stop-WithReason([string]$Reason) {
    Write-Output $Reason
    exit 1
}

# Out of band: an agent that restarts itself in the middle of a command loses the command's answer.
function Start-Detached([string]$Work) {
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($Work))
    $line = "powershell.exe -NoProfile -NonInteractive -EncodedCommand $encoded"
    $made = Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments @{ CommandLine = $line }
    if ($made.ReturnValue -ne 0) { Stop-WithReason "the restart could not be scheduled: code $($made.ReturnValue)" }
}

try {
    switch ($action) {
        'free-disk' {
            $system = $env:SystemDrive
            $before = (Get-PSDrive -Name $system.TrimEnd(':')).Free
            $old = (Get-Date).AddDays(-1)
            # Output of commands that ended more than a day ago, and the agents' rotated logs.
            $folders = "$env:ProgramData\Amazon\SSM\InstanceData\*\document\orchestration\*"
            Get-Item -Path $folders -ErrorAction SilentlyContinue | Where-Object { $_.LastWriteTime -lt $old } |
                Remove-Item -Recurse -Force -ErrorAction SilentlyContinue
            $logs = "$env:ProgramData\Amazon\SSM\Logs\*.log.*", "$env:ProgramData\Amazon\ECS\log\*.log.*"
            Get-Item -Path $logs -ErrorAction SilentlyContinue | Where-Object { $_.LastWriteTime -lt $old } |
                Remove-Item -Force -ErrorAction SilentlyContinue
            $after = (Get-PSDrive -Name $system.TrimEnd(':')).Free
            Write-Output "free on ${system}: $before bytes before, $after bytes after"
        }
        'restart-ssm-agent' {
            if (-not (Get-Service -Name AmazonSSMAgent -ErrorAction SilentlyContinue)) {
                Stop-WithReason 'there is no service AmazonSSMAgent: nothing was done'
            }
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
            if (-not (Get-Service -Name AmazonECS -ErrorAction SilentlyContinue)) {
                Stop-WithReason 'there is no service AmazonECS: nothing was done'
            }
            $runtime = Get-Service -Name docker -ErrorAction SilentlyContinue
            if (-not $runtime -or $runtime.Status -ne 'Running') {
                Stop-WithReason 'docker does not run: the ECS agent was not restarted'
            }
            Restart-Service -Name AmazonECS -Force
            Write-Output 'AmazonECS was restarted'
        }
        'restart-runtime' {
            if (-not (Get-Service -Name docker -ErrorAction SilentlyContinue)) {
                Stop-WithReason 'there is no service docker: nothing was done'
            }
            Restart-Service -Name docker -Force
            # A service that depends on docker stops with it and is not started with it.
            if (Get-Service -Name AmazonECS -ErrorAction SilentlyContinue) { Start-Service -Name AmazonECS }
            Write-Output 'docker was restarted, and AmazonECS with it where it is installed'
        }
        default { Stop-WithReason 'no such action: nothing was done' }
    }
} catch {
    Stop-WithReason "it did not work: $($_.Exception.Message)"
}
exit 0
