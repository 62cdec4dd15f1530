; The Windows installer, for Inno Setup 6.3 or newer. NOT YET BUILT: no Windows machine was at hand; every directive
; was checked against the Inno Setup manual (https://jrsoftware.org/ishelp).
;
;   python dev.py package                      freezes the program into build\package\cpu\espalier
;   iscc /DVersion=0.1.0 /DFlavour=cpu packaging\windows\espalier.iss
;
; Unattended:   espalier-0.1.0-windows-x64-cpu.exe /VERYSILENT /SUPPRESSMSGBOXES /NORESTART [/ALLUSERS or /CURRENTUSER]
; Without administrator rights it installs below %LOCALAPPDATA%\Programs. An upgrade runs the newer installer over
; the older; a roll-back runs the older one again. Runs, caches and settings are never touched.

#ifndef Version
  #error Give the version: iscc /DVersion=0.1.0 espalier.iss
#endif
#ifndef Flavour
  #define Flavour "cpu"
#endif
#define Program "..\..\build\package\" + Flavour + "\espalier"

[Setup]
AppId={{7C0E9D0B-5B57-4B0B-9C53-6B2C5B0E6A41}
AppName=Espalier
AppVersion={#Version}
AppPublisher=The Espalier developers
DefaultDirName={autopf}\Espalier
DefaultGroupName=Espalier
DisableProgramGroupPage=yes
LicenseFile=..\..\LICENSE
OutputDir=..\..\dist
OutputBaseFilename=espalier-{#Version}-windows-x64-{#Flavour}
SetupIconFile=..\..\build\package\source\packaging\windows\espalier.ico
UninstallDisplayIcon={app}\espalier-window.exe
Compression=lzma2
SolidCompression=yes
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
MinVersion=10.0.17763
PrivilegesRequired=lowest
PrivilegesRequiredOverridesAllowed=dialog commandline
ChangesEnvironment=yes
ChangesAssociations=yes
CloseApplications=yes

[Tasks]
Name: "path"; Description: "Let the command ""espalier"" be found from every terminal"
Name: "desktop"; Description: "{cm:CreateDesktopIcon}"; Flags: unchecked

; Files of the version before that the new one no longer has would be imported by accident.
[InstallDelete]
Type: filesandordirs; Name: "{app}\_internal"
Type: filesandordirs; Name: "{app}\licences"

[Files]
Source: "{#Program}\*"; DestDir: "{app}"; Flags: ignoreversion recursesubdirs createallsubdirs

[Icons]
Name: "{group}\Espalier"; Filename: "{app}\espalier-window.exe"
Name: "{autodesktop}\Espalier"; Filename: "{app}\espalier-window.exe"; Tasks: desktop

; A pipeline is a YAML file, which other programs open too: Espalier offers itself, it does not take over.
[Registry]
Root: HKA; Subkey: "Software\Classes\Espalier.Pipeline"; ValueType: string; ValueData: "Espalier pipeline"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\Espalier.Pipeline\DefaultIcon"; ValueType: string; ValueData: "{app}\espalier-window.exe,0"
Root: HKA; Subkey: "Software\Classes\Espalier.Pipeline\shell\open\command"; ValueType: string; ValueData: """{app}\espalier-window.exe"" ""%1"""
Root: HKA; Subkey: "Software\Classes\.yaml\OpenWithProgids"; ValueType: string; ValueName: "Espalier.Pipeline"; ValueData: ""; Flags: uninsdeletevalue
Root: HKA; Subkey: "Software\Classes\.yml\OpenWithProgids"; ValueType: string; ValueName: "Espalier.Pipeline"; ValueData: ""; Flags: uninsdeletevalue

[Run]
Filename: "{app}\espalier-window.exe"; Description: "{cm:LaunchProgram,Espalier}"; Flags: nowait postinstall skipifsilent

[Code]
const
  MachineKey = 'SYSTEM\CurrentControlSet\Control\Session Manager\Environment';
  PersonKey = 'Environment';

function PathRoot: Integer;
begin
  if IsAdminInstallMode then Result := HKEY_LOCAL_MACHINE else Result := HKEY_CURRENT_USER;
end;

function PathKey: String;
begin
  if IsAdminInstallMode then Result := MachineKey else Result := PersonKey;
end;

function ReadPath: String;
begin
  if not RegQueryStringValue(PathRoot, PathKey, 'Path', Result) then Result := '';
end;

procedure AddToPath(Folder: String);
var
  Found: String;
begin
  Found := ReadPath;
  if Pos(';' + Uppercase(Folder) + ';', ';' + Uppercase(Found) + ';') > 0 then exit;
  if (Found <> '') and (Found[Length(Found)] <> ';') then Found := Found + ';';
  RegWriteExpandStringValue(PathRoot, PathKey, 'Path', Found + Folder);
end;

procedure RemoveFromPath(Folder: String);
var
  Found: String;
  Place: Integer;
begin
  Found := ';' + ReadPath + ';';
  Place := Pos(';' + Uppercase(Folder) + ';', Uppercase(Found));
  if Place = 0 then exit;
  Delete(Found, Place, Length(Folder) + 1);
  RegWriteExpandStringValue(PathRoot, PathKey, 'Path', Copy(Found, 2, Length(Found) - 2));
end;

procedure CurStepChanged(Step: TSetupStep);
begin
  if (Step = ssPostInstall) and WizardIsTaskSelected('path') then AddToPath(ExpandConstant('{app}'));
end;

procedure CurUninstallStepChanged(Step: TUninstallStep);
begin
  if Step = usPostUninstall then RemoveFromPath(ExpandConstant('{app}'));
end;
